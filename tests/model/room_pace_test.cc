// room_pace_test.cc: in a pool that is nearly full writes go on while room is made for them.
#include <algorithm>

#include "base/aligned.h"
#include "model/world.h"
#include "runtime/sync.h"

namespace brindle::model {
namespace {

constexpr u64 volume_bytes = 352 * MiB;
constexpr u64 overwriters = 16;

Task<void> overwrite(World& world, Handle& volume, u64 seed, u64 count, std::vector<u64>& took_ns, Status& failed) {
  AlignedBuffer block(block_size);
  block.clear();
  const Bytes from = block.span();
  Rng rng(seed);
  for (u64 i = 0; i < count; ++i) {
    const u64 began_ns = world.runtime().now_ns();
    Status status = co_await volume.write(rng.below(volume_bytes / block_size) * block_size, from, false);
    if (!status) failed = status;
    took_ns.push_back(world.runtime().now_ns() - began_ns);
  }
}

TEST(RoomPace, NoWriteWaitsForAWholeRoundOfCompaction) {
  // With little memory, so that a checkpoint takes its time.
  World world({.pool_size = 512 * MiB, .memory_max = 512 * KiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", volume_bytes);
  for (u64 offset = 0; offset < volume_bytes; offset += MiB) world.write("db", offset, pattern(offset, MiB));
  const auto volume = world.handle("db");
  std::vector<u64> took_ns;
  Status failed;
  for (u64 turn = 0; turn < 4; ++turn) {
    took_ns.clear();
    const PoolCounters before = world.engine().pool_counters();
    Gate gate(world.runtime());
    for (u64 i = 0; i < overwriters; ++i) gate.spawn(overwrite(world, *volume, turn * overwriters + i, 2000, took_ns, failed));
    world.runtime().run(gate.close());
    ASSERT_TRUE(failed.ok());
    const PoolCounters after = world.engine().pool_counters();
    EXPECT_GT(after.compacted_chunks - before.compacted_chunks, 100u);
    // Paced by nothing the log waited 3 ms in each turn, and a write 14 to 24 times as long as half of them.
    EXPECT_EQ(after.room_wait_ns - before.room_wait_ns, 0u);
    std::sort(took_ns.begin(), took_ns.end());
    EXPECT_LT(took_ns.back(), 11 * took_ns[took_ns.size() / 2]);
  }
}

}  // namespace
}  // namespace brindle::model
