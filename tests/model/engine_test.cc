// engine_test.cc: the promises of the engine one by one, on a simulated disk.
#include "format/summary.h"
#include "model/world.h"

namespace brindle::model {
namespace {

Task<void> overwrite(Handle& to, Rng& rng, u64 blocks, u64 writes, Status& status) {
  const std::string bytes = pattern(1, block_size);
  for (u64 i = 0; i < writes && status; ++i) {
    const u64 offset = rng.below(blocks) * block_size;
    const Status done = co_await to.write(offset, std::as_bytes(std::span(bytes)), false);
    if (!done) status = done;
  }
}

/// Many writers, so that the log is of data and not of records.
Task<Status> overwrite_at_once(Runtime& runtime, Handle& to, u64 blocks, u64 writes) {
  constexpr u64 writers = 32;
  Rng rng(1);
  Status status;
  Gate gate(runtime);
  for (u64 i = 0; i < writers; ++i) gate.spawn(overwrite(to, rng, blocks, writes / writers, status));
  co_await gate.close();
  co_return status;
}

class EngineTest : public testing::Test {
 protected:
  EngineTest() : world({}) { EXPECT_TRUE(world.open()); }
  u64 live() {
    world.sync();
    return world.engine().status().used;
  }
  World world;
};

TEST_F(EngineTest, NewVolumeReadsAsZeroes) {
  world.create("db", 1 * GiB);
  EXPECT_EQ(world.read("db", 4095, 3 * 4096), std::string(3 * 4096, '\0'));
}

TEST_F(EngineTest, ReadsBackWhatWasWrittenAtAnyAlignment) {
  world.create("db", 16 * MiB);
  const std::string bytes = pattern(1, 300 * 1000);
  world.write("db", 12345, bytes);
  EXPECT_EQ(world.read("db", 12345, bytes.size()), bytes);
  EXPECT_EQ(world.read("db", 0, 12345), std::string(12345, '\0'));
}

TEST_F(EngineTest, SurvivesCleanReopenAndKill) {
  world.create("db", 16 * MiB);
  const std::string bytes = pattern(2, 64 * KiB);
  world.write("db", 8192, bytes);
  world.close();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.read("db", 8192, bytes.size()), bytes);
  const std::string more = pattern(3, 64 * KiB);
  world.write("db", 1 * MiB, more);
  world.kill();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.read("db", 8192, bytes.size()), bytes);
  EXPECT_EQ(world.read("db", 1 * MiB, more.size()), more);
}

TEST_F(EngineTest, SnapshotKeepsWhatItSawAndCloneGoesItsOwnWay) {
  world.create("db", 16 * MiB);
  world.write("db", 0, pattern(1, 8192));
  world.snapshot("db@one");
  world.write("db", 4096, pattern(2, 4096));
  world.clone("db@one", "copy");
  world.write("copy", 0, pattern(3, 4096));
  EXPECT_EQ(world.read("db@one", 0, 8192), pattern(1, 8192));
  EXPECT_EQ(world.read("db", 0, 4096), pattern(1, 8192).substr(0, 4096));
  EXPECT_EQ(world.read("db", 4096, 4096), pattern(2, 4096));
  EXPECT_EQ(world.read("copy", 0, 4096), pattern(3, 4096));
  EXPECT_EQ(world.read("copy", 4096, 4096), pattern(1, 8192).substr(4096));
}

TEST_F(EngineTest, AllSpaceComesBack) {
  const u64 empty = live();
  world.create("db", 64 * MiB);
  for (u64 i = 0; i < 6; ++i) {
    world.write("db", i * MiB, pattern(i, 512 * KiB));
    world.snapshot("db@s" + std::to_string(i));
  }
  world.clone("db@s3", "copy");
  world.write("copy", 0, pattern(9, 256 * KiB));
  world.clone("copy", "copy2");
  EXPECT_GT(live(), empty + 3 * MiB);
  for (const char* name : {"db@s3", "db", "db@s0", "copy", "db@s5", "db@s1", "copy2", "db@s2", "db@s4"}) {
    world.remove(name);
  }
  EXPECT_EQ(live(), empty);
}

TEST_F(EngineTest, RollbackKeepsNewerSnapshotsAndSavesWhatWas) {
  world.create("db", 16 * MiB);
  world.write("db", 0, pattern(1, 4096));
  world.snapshot("db@one");
  world.write("db", 0, pattern(2, 4096));
  world.snapshot("db@two");
  world.write("db", 0, pattern(3, 4096));
  std::vector<std::string> to{"db@one"};
  const auto saved = world.run(world.engine().rollback(std::move(to), false, false));
  ASSERT_TRUE(saved.ok());
  EXPECT_EQ(*saved, std::vector<std::string>{"db@before-rollback-1"});
  EXPECT_EQ(world.read("db", 0, 4096), pattern(1, 4096));
  EXPECT_EQ(world.read("db@two", 0, 4096), pattern(2, 4096));
  EXPECT_EQ(world.read("db@before-rollback-1", 0, 4096), pattern(3, 4096));
}

TEST_F(EngineTest, FullPoolRefusesWritesAndRecoversByDeletion) {
  world.create("db", 1 * GiB);
  const auto to = world.handle("db");
  u64 written = 0;
  Status status;
  const std::string bytes = pattern(7, 256 * KiB);
  for (; written < 80 * MiB; written += bytes.size()) {
    status = world.run(to->write(written, std::as_bytes(std::span(bytes)), false));
    if (!status) break;
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.code(), Code::no_space);
  EXPECT_GT(written, 32 * MiB);
  EXPECT_EQ(world.read("db", written - bytes.size(), bytes.size()), bytes);
  status = world.run(to->discard(0, 32 * MiB, false));
  EXPECT_TRUE(status);
  for (u64 at = 0; at < 16 * MiB; at += bytes.size()) {
    status = world.run(to->write(at, std::as_bytes(std::span(bytes)), false));
    ASSERT_TRUE(status) << at << " " << status.error().message;
  }
}

/// Long writes one after the other: each fills a small segment nearly whole.
Task<void> long_writes(Handle& handle, u64 first, const std::string& bytes, u64 count) {
  for (u64 i = 0; i < count; ++i) {
    const Status written = co_await handle.write((first + i % 4) * bytes.size(), std::as_bytes(std::span(bytes)), false);
    EXPECT_TRUE(written) << written.error().message;
  }
}

Task<void> checkpoints(Engine& engine, u64 count) {
  for (u64 i = 0; i < count; ++i) {
    const Status synced = co_await engine.sync();
    EXPECT_TRUE(synced);
  }
}

TEST_F(EngineTest, ASegmentThatIsFullBeforeItsBatchesAreAppliedSurvivesACheckpoint) {
  world.create("db", 16 * MiB);
  const std::string bytes = pattern(1, 256 * KiB);
  const auto handle = world.handle("db");
  Gate gate(world.runtime());
  for (u64 lane = 0; lane < 8; ++lane) gate.spawn(long_writes(*handle, lane * 4, bytes, 40));
  gate.spawn(checkpoints(world.engine(), 60));
  world.runtime().run(gate.close());
  for (u64 i = 0; i < 32; ++i) EXPECT_EQ(world.read("db", i * bytes.size(), bytes.size()) == bytes, true);
}

Task<void> write_part(Handle& handle, u64 offset, const std::string& bytes) {
  const Status written = co_await handle.write(offset, std::as_bytes(std::span(bytes)), false);
  EXPECT_TRUE(written) << written.error().message;
}

Task<void> roll_back(Engine& engine, std::string snapshot) {
  std::vector<std::string> names(1, std::move(snapshot));
  const auto done = co_await engine.rollback(std::move(names), true, true);
  EXPECT_TRUE(done);
}

TEST_F(EngineTest, AWriteOfPartOfABlockBringsNothingBackOverARollback) {
  world.create("db", 1 * MiB);
  const std::string old = pattern(1, 4096);
  const std::string part = pattern(3, 100);
  std::string both = old;
  both.replace(50, 100, part);
  world.write("db", 0, old);
  world.snapshot("db@s");
  for (u64 round = 0; round < 40; ++round) {
    world.write("db", 0, pattern(2, 4096));
    const auto handle = world.handle("db");
    Gate gate(world.runtime());
    gate.spawn(write_part(*handle, 50, part));
    gate.spawn(roll_back(world.engine(), "db@s"));
    world.runtime().run(gate.close());
    const std::string now = world.read("db", 0, 4096);
    EXPECT_EQ(now == old || now == both, true) << "round " << round;
  }
}

TEST(Reclaim, EndsWhereTheChildrenOfABranchPointDoNotFitInTheCacheTogether) {
  World world({.memory_max = 256 * KiB});
  ASSERT_TRUE(world.open());
  world.sync();
  const u64 empty = world.engine().status().used;
  world.create("image", 1 * TiB);
  world.write("image", 0, pattern(1, 64 * KiB));
  world.snapshot("image@golden");
  for (u64 i = 0; i < 24; ++i) world.clone("image@golden", "c" + std::to_string(i));
  world.remove("image");
  for (u64 i = 0; i < 24; ++i) world.write("c" + std::to_string(i), 0, pattern(2 + i, 64 * KiB));
  world.sync();
  EXPECT_GT(world.engine().live_blocks(), 24 * 16u);
  world.remove("image@golden");
  world.sync();  // or it goes on for ever
  EXPECT_EQ(world.engine().live_blocks(), 24 * 16u);
  for (u64 i = 0; i < 24; ++i) world.remove("c" + std::to_string(i));
  world.sync();
  EXPECT_EQ(world.engine().status().used, empty);
}

/// What the log and its summaries hold after 8 MiB of writes, and how many device reads an opening then takes.
class ReplayTest : public testing::Test {
 protected:
  ReplayTest() : world({.verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    world.create("db", 16 * MiB);
  }
  void fill() {
    for (u64 i = 0; i < 128; ++i) world.write("db", i * 64 * KiB, pattern(i, 64 * KiB));
    world.snapshot("db@s");
    world.write("db", 0, pattern(500, 4096));
    const auto handle = world.handle("db");
    EXPECT_TRUE(world.run(handle->flush()));
  }
  void expect_all() {
    EXPECT_EQ(world.read("db", 0, 4096), pattern(500, 4096));
    EXPECT_EQ(world.read("db@s", 0, 64 * KiB), pattern(0, 64 * KiB));
    for (u64 i = 1; i < 128; ++i) EXPECT_EQ(world.read("db", i * 64 * KiB, 64 * KiB), pattern(i, 64 * KiB)) << i;
  }
  /// Damages the tail of every summary on the disk; how many there are.
  u64 spoil_summaries() {
    u64 spoilt = 0;
    for (auto& [number, block] : world.disk().blocks) {
      std::byte* const tail = block.data() + block_size - sizeof(SummaryTail);
      u32 magic = 0;
      std::memcpy(&magic, tail, sizeof magic);
      if (magic != summary_magic) continue;
      tail[40] ^= std::byte{1};
      ++spoilt;
    }
    return spoilt;
  }
  World world;
};

TEST_F(ReplayTest, TakesFlushedSegmentsFromTheirSummaries) {
  fill();
  world.kill();
  // What a flush covered is not looked at: a block in the middle that nobody reads back would not be missed.
  ASSERT_TRUE(world.open());
  const u64 batches = world.engine().status().replayed_batches;
  EXPECT_GE(batches, 128u);
  expect_all();
}

TEST_F(ReplayTest, ReadsTheBatchesWhereThereAreNoSummaries) {
  fill();
  EXPECT_GE(spoil_summaries(), 10u);
  world.kill();
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
  expect_all();
}

TEST_F(ReplayTest, DoesNotTrustASummaryThatNoFlushStandsBehind) {
  for (u64 i = 0; i < 128; ++i) world.write("db", i * 64 * KiB, pattern(i, 64 * KiB));
  world.lose_power();
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
  bool whole = true;
  for (u64 i = 0; i < 128; ++i) {
    const std::string bytes = world.read("db", i * 64 * KiB, 64 * KiB);  // a block that is damaged fails the test
    const bool there = bytes == pattern(i, 64 * KiB);
    EXPECT_TRUE(there || bytes == std::string(64 * KiB, '\0')) << i;
    EXPECT_TRUE(whole || !there) << i << " is there, and one before it is not";
    whole = there;
  }
}

TEST_F(EngineTest, RefusesBadNamesAndSizesAndChangesNothing) {
  const auto create = [&](const std::string& name, u64 size) {
    return world.run(world.engine().volume_create(name, size, {}));
  };
  EXPECT_EQ(create("a b", 4096).code(), Code::invalid);
  EXPECT_EQ(create("a@b", 4096).code(), Code::invalid);
  EXPECT_EQ(create("a", 0).code(), Code::invalid);
  EXPECT_EQ(create("a", 4097).code(), Code::invalid);
  EXPECT_EQ(create("a", 2 * PiB).code(), Code::invalid);
  world.create("a", 4096);
  EXPECT_EQ(create("a", 4096).code(), Code::exists);
  EXPECT_EQ(world.engine().list(false, "").size(), 1u);
}

TEST(EngineSpaceTest, APoolThatIsNearlyFullEverywhereAlikeIsWrittenOn) {
  World world({.pool_size = 96 * MiB});
  ASSERT_TRUE(world.open());
  const u64 blocks = world.engine().status().free / block_size * 17 / 20;
  world.create("db", blocks * block_size);
  for (u64 at = 0; at < blocks; at += 64) {
    world.write("db", at * block_size, pattern(at, std::min<u64>(64, blocks - at) * block_size));
  }
  const auto to = world.handle("db");
  const Status status = world.run(overwrite_at_once(world.runtime(), *to, blocks, blocks));
  EXPECT_TRUE(status) << status.error().message;
}

/// A pool five sixths of which are one volume, written over at random.
struct WornPool {
  explicit WornPool(u64 memory_max = WorldOptions{}.memory_max)
      : world({.pool_size = 96 * MiB, .memory_max = memory_max}) {
    EXPECT_TRUE(world.open());
    blocks = world.engine().status().free / block_size * 17 / 20;
    world.create("db", blocks * block_size);
    write_over(3);
  }
  void write_over(u64 times) {
    const auto to = world.handle("db");
    EXPECT_TRUE(world.run(overwrite_at_once(world.runtime(), *to, blocks, times * blocks)));
  }
  PoolCounters counters() { return world.engine().pool_counters(); }

  World world;
  u64 blocks = 0;  // of the volume
};

TEST(EngineSpaceTest, WhatLivesInAVictimGoesIntoTheHolesOfOthers) {
  WornPool pool;
  const u64 before = pool.counters().compacted_bytes;
  pool.write_over(2);
  const u64 copied = pool.counters().compacted_bytes - before;
  EXPECT_GT(copied, 0u);
  // Victims are some three quarters full. Into empty chunks it would be three blocks for each that is written.
  EXPECT_LT(copied, 2 * pool.blocks * block_size);
}

/// Bytes that a checkpoint writes of them.
u64 tables_of(WornPool& pool) {
  const PoolCounters before = pool.counters();
  pool.write_over(1);
  const PoolCounters after = pool.counters();
  EXPECT_GT(after.compacted_bytes, before.compacted_bytes);
  return (after.table_bytes_written - before.table_bytes_written) / (after.checkpoints - before.checkpoints);
}

TEST(EngineSpaceTest, WhereMemoryIsShortSegmentsAreNotTornIntoPieces) {
  WornPool small(512 * KiB);
  WornPool large(16 * MiB);
  EXPECT_LT(tables_of(small), tables_of(large) / 2);
}

TEST(EngineSpaceTest, PiecesInWhichNothingLivesAreNotKept) {
  WornPool pool(16 * MiB);
  // A block that lies in a hole is a piece of ten bytes. 5.6 for each block of the volume, and with dead ones 7.2.
  EXPECT_LT(tables_of(pool), pool.blocks * 13 / 2) << pool.blocks;
}

TEST_F(EngineTest, AVolumeOf16TiBWorksOnASmallPool) {
  world.create("big", 16 * TiB);
  const u64 end = 16 * TiB;
  world.write("big", end - 8192, pattern(1, 8192));
  world.write("big", 5 * TiB, pattern(2, 4096));
  EXPECT_EQ(world.read("big", end - 8192, 8192), pattern(1, 8192));
  const auto to = world.handle("big");
  auto extents = world.run(to->extents(0, end, 100));
  ASSERT_TRUE(extents);
  ASSERT_EQ(extents->size(), 4u);
  EXPECT_EQ((*extents)[0].length, 5 * TiB);
  EXPECT_TRUE((*extents)[1].data);
  EXPECT_EQ((*extents)[3].length, 8192u);
  const Status discarded = world.run(to->discard(0, end, false));
  EXPECT_TRUE(discarded);
  extents = world.run(to->extents(0, end, 100));
  ASSERT_TRUE(extents);
  EXPECT_EQ(extents->size(), 1u);
}

}  // namespace
}  // namespace brindle::model
