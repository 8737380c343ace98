// pace_test.cc: writes over a map far larger than its memory go on while checkpoints read and write it, and in a pool that is nearly full
// while room is made for them.
#include <algorithm>

#include "base/aligned.h"
#include "model/world.h"
#include "runtime/sync.h"

namespace brindle::model {
namespace {

constexpr u64 writers_at_once = 16;
constexpr u64 writes_each = 2000;

/// Where a volume is written: so many places, with so much between.
struct Places {
  u64 count;
  u64 bytes;
  u64 all() const { return count * bytes; }
};

Task<void> write_at_random(World& world, Handle& volume, Places places, u64 seed, std::vector<u64>& took_ns,
                           Status& failed) {
  AlignedBuffer block(block_size);
  block.clear();
  const Bytes from = block.span();
  Rng rng(seed);
  for (u64 i = 0; i < writes_each; ++i) {
    const u64 began_ns = world.runtime().now_ns();
    Status status = co_await volume.write(rng.below(places.count) * places.bytes, from, false);
    if (!status) failed = status;
    took_ns.push_back(world.runtime().now_ns() - began_ns);
  }
}

TEST(Pace, NoWriteWaitsForAWholeCheckpoint) {
  World world({.pool_size = 256 * MiB, .memory_max = MiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  const Places leaves{3000, leaf_blocks * block_size};
  world.create("db", leaves.all());
  const auto volume = world.handle("db");
  std::vector<u64> took_ns;
  Status failed;
  for (u64 turn = 0; turn < 2; ++turn) {
    took_ns.clear();
    const u64 checkpoints = world.engine().status().checkpoints;
    Gate gate(world.runtime());
    for (u64 i = 0; i < writers_at_once; ++i)
      gate.spawn(write_at_random(world, *volume, leaves, turn * writers_at_once + i, took_ns, failed));
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

struct Turn {
  u64 compacted_chunks;
  u64 room_wait_ns;
  u64 longest_ns;
  u64 median_ns;
};

/// Overwrites at random a volume that was written in order, in turns.
std::vector<Turn> overwrite(u64 pool_size, u64 volume_size) {
  // With little memory, so that a checkpoint takes its time.
  World world({.pool_size = pool_size, .memory_max = 512 * KiB, .verify_one_in = 0});
  EXPECT_TRUE(world.open());
  const Places blocks{volume_size / block_size, block_size};
  world.create("db", blocks.all());
  for (u64 offset = 0; offset < blocks.all(); offset += MiB) world.write("db", offset, pattern(offset, MiB));
  const auto volume = world.handle("db");
  std::vector<Turn> turns;
  std::vector<u64> took_ns;
  Status failed;
  for (u64 turn = 0; turn < 4; ++turn) {
    took_ns.clear();
    const PoolCounters before = world.engine().pool_counters();
    Gate gate(world.runtime());
    for (u64 i = 0; i < writers_at_once; ++i)
      gate.spawn(write_at_random(world, *volume, blocks, turn * writers_at_once + i, took_ns, failed));
    world.runtime().run(gate.close());
    EXPECT_TRUE(failed.ok());
    const PoolCounters after = world.engine().pool_counters();
    std::sort(took_ns.begin(), took_ns.end());
    turns.push_back({after.compacted_chunks - before.compacted_chunks, after.room_wait_ns - before.room_wait_ns,
                     took_ns.back(), took_ns[took_ns.size() / 2]});
  }
  return turns;
}

TEST(RoomPace, NoWriteWaitsForAWholeRoundOfCompaction) {
  for (const Turn& turn : overwrite(512 * MiB, 352 * MiB)) {
    EXPECT_GT(turn.compacted_chunks, 100u);
    // Paced by nothing the log waited 3 ms in each turn, and a write 14 to 24 times as long as half of them.
    EXPECT_EQ(turn.room_wait_ns, 0u);
    EXPECT_LT(turn.longest_ns, 11 * turn.median_ns);
  }
}

TEST(RoomPace, NorWhereFewChunksAreDead) {
  std::vector<Turn> turns = overwrite(512 * MiB, 416 * MiB);
  turns.erase(turns.begin());  // in it the pool becomes full
  for (const Turn& turn : turns) {
    EXPECT_GT(turn.compacted_chunks, 100u);
    // With twelve chunks kept empty, and paced by nothing, the log waited 36 to 39 ms in each turn, and a write 25 to 60 times as long as half of them.
    EXPECT_EQ(turn.room_wait_ns, 0u);
    EXPECT_LT(turn.longest_ns, 11 * turn.median_ns);
  }
}

}  // namespace
}  // namespace brindle::model
