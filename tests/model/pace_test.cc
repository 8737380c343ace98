// pace_test.cc: writes over a map far larger than its memory go on while checkpoints read and write it.
#include <algorithm>

#include "base/aligned.h"
#include "model/world.h"
#include "runtime/sync.h"

namespace brindle::model {
namespace {

constexpr u64 leaf_bytes = 512 * block_size;
constexpr u64 leaves = 3000;
constexpr u64 writers_at_once = 16;

Task<void> write_at_random(World& world, Handle& volume, u64 seed, u64 count, std::vector<u64>& took_ns, Status& failed) {
  AlignedBuffer block(block_size);
  block.clear();
  const Bytes from = block.span();
  Rng rng(seed);
  for (u64 i = 0; i < count; ++i) {
    const u64 began_ns = world.runtime().now_ns();
    Status status = co_await volume.write(rng.below(leaves) * leaf_bytes, from, false);
    if (!status) failed = status;
    took_ns.push_back(world.runtime().now_ns() - began_ns);
  }
}

TEST(Pace, NoWriteWaitsForAWholeCheckpoint) {
  World world({.pool_size = 256 * MiB, .memory_max = MiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", leaves * leaf_bytes);
  const auto volume = world.handle("db");
  std::vector<u64> took_ns;
  Status failed;
  for (u64 turn = 0; turn < 2; ++turn) {
    took_ns.clear();
    const u64 checkpoints = world.engine().status().checkpoints;
    Gate gate(world.runtime());
    for (u64 i = 0; i < writers_at_once; ++i) gate.spawn(write_at_random(world, *volume, turn * writers_at_once + i, 2000, took_ns, failed));
    world.runtime().run(gate.close());
    ASSERT_TRUE(failed.ok());
    EXPECT_GT(world.engine().status().checkpoints - checkpoints, 20u);
    // What was paced by nothing waited twenty times as long, and for the whole of a checkpoint.
    std::sort(took_ns.begin(), took_ns.end());
    const u64 median_ns = took_ns[took_ns.size() / 2];
    EXPECT_LT(took_ns[took_ns.size() / 100 * 99], 4 * median_ns);
    EXPECT_LT(took_ns.back(), 12 * median_ns);
  }
}

}  // namespace
}  // namespace brindle::model
