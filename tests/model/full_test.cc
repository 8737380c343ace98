// full_test.cc: a pool near its limit: what still can be had is waited for, and only what cannot is refused.
#include "model/world.h"

namespace brindle::model {
namespace {

/// Writers at full speed, until somebody is refused or told to stop.
struct Load {
  Engine& engine;
  Handle& to;
  u64 blocks;   // of the volume
  u64 request;  // blocks
  Rng rng{1};
  bool stop = false;
  u64 writes = 0;
  Status status;
};

Task<void> write_at_random(Load& load) {
  const std::string bytes = pattern(1, load.request * block_size);
  AlignedBuffer buffer(bytes.size());
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  while (!load.stop && load.status) {
    const u64 offset = load.rng.below(load.blocks / load.request) * load.request * block_size;
    const Bytes from = buffer.span();
    const Status done = co_await load.to.write(offset, from, false);
    if (!done) load.status = done;
    ++load.writes;
  }
}

Task<void> snapshot_and_delete(Runtime& runtime, Load& load, std::string volume, u64 rounds, u64 rest_ns) {
  std::vector<std::string> names{volume + "@s"};
  for (u64 i = 0; i < rounds && load.status; ++i) {
    std::vector<std::string> copy = names;
    Status status = co_await load.engine.snapshot_create(std::move(copy), {});
    if (status && rest_ns > 0) co_await runtime.sleep(rest_ns);
    copy = names;
    if (status) status = co_await load.engine.remove(std::move(copy), false, false);
    if (!status) load.status = status;
  }
  load.stop = true;
}

Task<Status> writers_and_snapshots(Runtime& runtime, Load& load, u64 writers, u64 rounds, u64 rest_ns) {
  Gate gate(runtime);
  for (u64 i = 0; i < writers; ++i) gate.spawn(write_at_random(load));
  gate.spawn(snapshot_and_delete(runtime, load, "db", rounds, rest_ns));
  co_await gate.close();
  co_return load.status;
}

Task<Status> writers_for(Runtime& runtime, Load& load, u64 writers, u64 ns) {
  Gate gate(runtime);
  for (u64 i = 0; i < writers; ++i) gate.spawn(write_at_random(load));
  co_await runtime.sleep(ns);
  load.stop = true;
  co_await gate.close();
  co_return load.status;
}

void fill(World& world, u64 blocks) {
  world.create("db", blocks * block_size);
  for (u64 at = 0; at < blocks; at += 64) world.write("db", at * block_size, pattern(at, 64 * block_size));
}

TEST(FullTest, WritersAndALoopOfSnapshotsAreNotRefusedWhileRoomCanComeBack) {
  for (const u64 pool_size : {96 * MiB, 192 * MiB}) {
    World world({.pool_size = pool_size});
    ASSERT_TRUE(world.open());
    // A snapshot, one that is dying, and the volume: more than the pool has room for.
    const u64 blocks = round_down(world.engine().status().free / block_size / 10 * 4, 64);
    fill(world, blocks);
    const auto to = world.handle("db");
    Load load{world.engine(), *to, blocks, 16};
    const Status status = world.run(writers_and_snapshots(world.runtime(), load, 128, 6, 20 * millisecond_ns));
    EXPECT_TRUE(status) << status.error().message << ", after " << load.writes;
  }
}

TEST(FullTest, AsMuchCanBeWrittenAsWasSaidToBeFreeHoweverManyWriteAtOnce) {
  for (const u64 writers : {1, 32, 512}) {
    World world({.pool_size = 192 * MiB, .memory_max = 256 * MiB});
    ASSERT_TRUE(world.open());
    world.create("db", 64 * GiB / 16);
    const u64 free = world.engine().status().free;
    const auto to = world.handle("db");
    Load load{world.engine(), *to, 1 * GiB / block_size, 64};
    const Status status = world.run(writers_for(world.runtime(), load, writers, 5 * second_ns));
    EXPECT_EQ(status.code(), Code::no_space);
    world.sync();
    const u64 live = world.engine().live_blocks() * block_size;
    EXPECT_LE(live, free) << writers;
    EXPECT_GE(live, free - 2 * MiB) << writers;
    EXPECT_LT(world.engine().status().free, 65 * block_size + 1) << writers;
  }
}

/// A volume and a snapshot of it that fill the pool.
u64 fill_with_snapshot(World& world) {
  const u64 blocks = round_down(world.engine().status().free / block_size * 6 / 10, 64);
  fill(world, blocks);
  world.snapshot("db@s");
  const auto to = world.handle("db");
  Load load{world.engine(), *to, blocks, 16};
  const Status status = world.run(writers_for(world.runtime(), load, 8, 60 * second_ns));
  EXPECT_EQ(status.code(), Code::no_space);
  return blocks;
}

TEST(FullTest, WhatADeletionGivesBackIsWaitedFor) {
  World world({.pool_size = 96 * MiB});
  ASSERT_TRUE(world.open());
  fill_with_snapshot(world);
  const std::string bytes = pattern(9, 256 * KiB);
  for (u64 at = 0; world.engine().status().free > 0 && at < 10 * MiB; at += block_size) {
    const auto to = world.handle("db");
    const std::string block = pattern(1, block_size);
    const Status status = world.run(to->write(at, std::as_bytes(std::span(block)), false));
    if (!status) break;
  }
  const u64 free = world.engine().status().free;
  EXPECT_LT(free, 3 * block_size);
  for (u64 i = 0; i < 4; ++i) {
    world.remove("db@s");
    world.snapshot("db@s");  // at once: the blocks of the one before are still to be given back
    world.write("db", i * bytes.size(), bytes);
  }
}

Task<void> scrub_until(Engine& engine, const bool& stop, u64& scrubs) {
  while (!stop) {
    const auto damage = co_await engine.scrub(nullptr);
    EXPECT_TRUE(damage);
    EXPECT_TRUE(!damage || damage->empty());
    ++scrubs;
  }
}

Task<Status> write_beside_scrubs(Runtime& runtime, Load& load, u64 ns, u64& scrubs) {
  Gate gate(runtime);
  gate.spawn(scrub_until(load.engine, load.stop, scrubs));
  const Status status = co_await writers_for(runtime, load, 32, ns);
  co_await gate.close();
  co_return status;
}

TEST(FullTest, AScrubKeepsNobodyFromWriting) {
  World world({.pool_size = 96 * MiB});
  ASSERT_TRUE(world.open());
  const u64 blocks = round_down(world.engine().status().free / block_size * 17 / 20, 64);
  fill(world, blocks);
  world.device().faults().latency_ns = 3 * millisecond_ns;
  const auto to = world.handle("db");
  Load load{world.engine(), *to, blocks, 1};
  u64 scrubs = 0;
  const Status status = world.run(write_beside_scrubs(world.runtime(), load, 20 * second_ns, scrubs));
  EXPECT_TRUE(status) << status.error().message << ", after " << load.writes;
  EXPECT_GT(load.writes, blocks);
  EXPECT_GT(scrubs, 1u);
}

Task<Status> write_beside_check(Runtime& runtime, Load& load, u64 ns, bool& in_the_way) {
  auto hold = co_await load.engine.hold_checkpoint();
  if (!hold) co_return hold.error();
  Gate gate(runtime);
  for (u64 i = 0; i < 32; ++i) gate.spawn(write_at_random(load));
  co_await runtime.sleep(ns);
  in_the_way = (*hold)->in_the_way();
  hold->reset();
  co_await runtime.sleep(100 * millisecond_ns);
  load.stop = true;
  co_await gate.close();
  co_return load.status;
}

TEST(FullTest, WritersWaitForACheckToEndAndTellItWhenItTakesTooLong) {
  for (const u64 ns : {3 * second_ns, 10 * second_ns}) {
    World world({.pool_size = 96 * MiB});
    ASSERT_TRUE(world.open());
    const u64 blocks = round_down(world.engine().status().free / block_size * 17 / 20, 64);
    fill(world, blocks);
    const auto to = world.handle("db");
    Load load{world.engine(), *to, blocks, 1};
    bool in_the_way = false;
    const Status status = world.run(write_beside_check(world.runtime(), load, ns, in_the_way));
    EXPECT_TRUE(status) << status.error().message << ", after " << load.writes;
    EXPECT_EQ(in_the_way, ns > 5 * second_ns);
  }
}

}  // namespace
}  // namespace brindle::model
