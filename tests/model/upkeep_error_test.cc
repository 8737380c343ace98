// upkeep_error_test.cc: errors of the device amid checkpoints, compaction and flushes of the engine's own, and with nothing left to write to.
#include "model/trial.h"

namespace brindle::model {
namespace {

std::string clone_name(u64 number) { return "clone-with-quite-a-long-name-" + std::to_string(number); }

/// A catalog of many pages: `db`, its snapshot `db@s`, and clones of that in so many commands.
void make_clones(Trial& trial, u64 commands, u64 each, const Labels& labels) {
  ASSERT_TRUE(trial.run(trial.engine->volume_create("db", 1 * GiB, {})));
  ASSERT_TRUE(trial.run(trial.engine->snapshot_create({"db@s"}, {})));
  for (u64 i = 0; i < commands; ++i) {
    std::vector<std::string> names;
    for (u64 k = 0; k < each; ++k) names.push_back(clone_name(i * each + k));
    ASSERT_TRUE(trial.run(trial.engine->clone("db@s", names, labels)));
  }
}

TEST(CheckpointErrorTest, OneThatFailsLatchesThePoolAndTheLastOneStands) {
  SimDisk disk(64 * MiB);
  {
    Trial trial(disk, 1, {}, {.create = true});
    ASSERT_TRUE(trial.opened);
    ASSERT_NO_FATAL_FAILURE(make_clones(trial, 12, 500, {}));
    ASSERT_TRUE(trial.run(trial.engine->close()));
  }
  u64 failed = 0;
  const std::string bytes = pattern(1, 4096);
  for (u64 seed = 1; seed <= 30; ++seed) {
    SimDisk copy = disk;
    {
      Trial trial(copy, seed, {});
      ASSERT_TRUE(trial.opened);
      const auto handle = trial.engine->open_handle("db", false);
      ASSERT_TRUE(handle);
      for (u64 round = 0; round < 6 && trial.engine->status().writable; ++round) {
        for (u64 i = 0; i < 400; ++i) {
          trial.device->faults().write_error_one_in = 0;
          if (!trial.run((*handle)->write((i * 7 + round) % 512 * 2 * MiB, std::as_bytes(std::span(bytes)), false)))
            break;
        }
        for (u64 i = 0; i < 60; ++i) {
          const std::string name = clone_name((i * 97 + round) % 6000);
          if (!trial.run(trial.engine->set_labels(name, {{"round", std::to_string(round)}}))) break;
        }
        auto& faults = trial.device->faults();
        if (round >= seed % 4) (seed % 3 == 0 ? faults.read_error_one_in : faults.write_error_one_in) = 4 + seed % 20;
        if (round >= seed % 4 && seed % 5 == 0) faults.host_full = true;
        const Status synced = trial.run(trial.engine->sync());
        faults.read_error_one_in = 0;
        if (synced) continue;
        ++failed;
        EXPECT_TRUE(synced.code() == Code::io || synced.code() == Code::read_only || synced.code() == Code::no_space)
            << synced.error().message;
        EXPECT_FALSE(trial.engine->status().writable);
      }
    }
    Trial trial(copy, seed, {});
    ASSERT_TRUE(trial.opened) << trial.opened.error().message;
    EXPECT_EQ(trial.engine->status().health, "ok");
    EXPECT_EQ(trial.engine->status().volumes, 6001u);
  }
  EXPECT_GT(failed, 6u);
}

TEST(CheckpointErrorTest, OneOfManyChunksMayFailAnywhere) {
  SimDisk disk(64 * MiB);
  {
    Trial trial(disk, 1, {}, {.create = true});
    ASSERT_TRUE(trial.opened);
    ASSERT_NO_FATAL_FAILURE(make_clones(trial, 40, 400, {{"why", std::string(200, 'x')}}));
    // Killed: opening it again replays all, and writes all of it in one checkpoint.
  }
  u64 refused = 0;
  for (u64 seed = 1; seed <= 30; ++seed) {
    SimDisk copy = disk;
    {
      SimFaults faults;
      faults.write_error_one_in = 2 + seed % 5;
      const Trial trial(copy, seed, faults);
      if (!trial.opened) {
        EXPECT_TRUE(trial.opened.code() == Code::io) << trial.opened.error().message;
      }
      refused += trial.opened ? 0 : 1;
    }
    if (seed % 6 != 0) continue;
    const Trial trial(copy, seed, {});
    ASSERT_TRUE(trial.opened) << trial.opened.error().message;
    EXPECT_EQ(trial.engine->status().volumes, 16'001u);
  }
  EXPECT_GT(refused, 10u);
  // A host that gives no chunk for it is told, and once it does nothing is lost.
  SimDisk copy = disk;
  {
    const Trial full(copy, 1, {.host_full = true});
    if (!full.opened) {
      EXPECT_EQ(full.opened.code(), Code::no_space) << full.opened.error().message;
    }
  }
  const Trial trial(copy, 2, {});
  ASSERT_TRUE(trial.opened) << trial.opened.error().message;
  EXPECT_EQ(trial.engine->status().volumes, 16'001u);
}

TEST(UpkeepErrorTest, AHostThatTakesNothingBackCostsSpaceAlone) {
  World world(WorldOptions{});
  ASSERT_TRUE(world.open());
  world.create("passing", 64 * MiB);
  for (u64 i = 0; i < 80; ++i) world.write("passing", i * 256 * KiB, pattern(i, 256 * KiB));
  world.remove("passing");
  world.sync();
  world.device().faults().host_keeps = true;
  world.runtime().run_for(20 * second_ns);
  EXPECT_EQ(world.engine().status().health, "ok");
  world.create("next", 64 * MiB);
  for (u64 i = 0; i < 80; ++i) world.write("next", i * 256 * KiB, pattern(i, 256 * KiB));
  EXPECT_EQ(world.read("next", 0, 256 * KiB), pattern(0, 256 * KiB));
}

TEST(UpkeepErrorTest, CompactionLeavesWhatItCannotReadAndLosesNothing) {
  for (u64 seed = 1; seed <= 40; ++seed) {
    World world({.seed = seed, .verify_one_in = 0});
    ASSERT_TRUE(world.open());
    world.create("kept", 64 * MiB);
    world.create("passing", 64 * MiB);
    for (u64 i = 0; i < 100; ++i) {
      world.write("kept", i * 16 * KiB, pattern(i + 1, 16 * KiB));
      world.write("passing", i * 112 * KiB, pattern(1000 + i, 112 * KiB));
    }
    world.sync();
    world.remove("passing");
    world.sync();
    auto& faults = world.device().faults();
    if (seed % 2 == 0) {
      faults.read_error_one_in = 1 + seed % 4;
    } else {
      faults.write_error_one_in = 2 + seed % 4;
    }
    world.runtime().run_for(20 * second_ns);
    faults.read_error_one_in = faults.write_error_one_in = 0;
    if (seed % 2 == 0) {
      EXPECT_EQ(world.engine().status().health, "ok");
    }
    for (u64 i = 0; i < 100; ++i) EXPECT_EQ(world.read("kept", i * 16 * KiB, 16 * KiB), pattern(i + 1, 16 * KiB));
    world.kill();
    ASSERT_TRUE(world.open());
    for (u64 i = 0; i < 100; ++i) EXPECT_EQ(world.read("kept", i * 16 * KiB, 16 * KiB), pattern(i + 1, 16 * KiB));
  }
}

TEST(UpkeepErrorTest, AFlushOfItsOwnThatFailsLatchesThePool) {
  World world({.pool_size = 4 * GiB, .memory_max = 256 * MiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 1 * GiB);
  const std::string bytes = pattern(1, 256 * KiB);
  const auto to = world.handle("db");
  ASSERT_TRUE(world.run(to->write(0, std::as_bytes(std::span(bytes)), false)));
  world.device().faults().flush_error_one_in = 1;
  for (u64 at = 0; at < 70 * MiB; at += bytes.size()) {
    if (!world.run(to->write(at, std::as_bytes(std::span(bytes)), false))) break;
  }
  world.runtime().run_for(500 * millisecond_ns);
  EXPECT_NE(world.engine().status().health.find("a flush failed"), std::string::npos) << world.engine().status().health;
  EXPECT_EQ(world.read("db", 0, bytes.size()), bytes);
}

TEST(UpkeepErrorTest, AFlushBehindZeroesThatFailsLatchesThePoolToo) {
  World world({.pool_size = 4 * GiB, .memory_max = 256 * MiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 1 * GiB);
  const std::string bytes = pattern(1, 256 * KiB);
  const auto to = world.handle("db");
  world.device().faults().failing_flushes = 1;  // whoever asks first: while the pool grows that is the filler
  const u64 made = world.device().size();
  u64 at = 0;
  while (world.device().size() < made + 64 * MiB && at < 512 * MiB) {
    if (!world.run(to->write(at, std::as_bytes(std::span(bytes)), false))) break;
    at += bytes.size();
  }
  EXPECT_NE(world.engine().status().health.find("a flush failed"), std::string::npos) << world.engine().status().health;
  EXPECT_FALSE(world.run(to->flush())) << "what was lost would be told to be durable";
}

TEST(FullErrorTest, WhatWasGivenBackToTheHostIsNotTakenForWrittenAfterACrash) {
  World world({.pool_size = 256 * MiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 128 * MiB);
  for (u64 at = 0; at < 128 * MiB; at += MiB) world.write("db", at, pattern(at, MiB));
  world.remove("db");
  world.sync();
  world.runtime().run_for(20 * second_ns);
  const auto& given = world.disk().given;
  EXPECT_LT(std::count(given.begin(), given.end(), true), static_cast<i64>(32 * MiB / block_size)) << "it was not given back";
  world.fill_host();
  world.kill();
  ASSERT_TRUE(world.open());
  world.create("again", 128 * MiB);
  const auto to = world.handle("again");
  const std::string bytes = pattern(1, MiB);
  Status written;
  for (u64 at = 0; at < 128 * MiB && written; at += MiB) written = world.run(to->write(at, std::as_bytes(std::span(bytes)), false));
  EXPECT_EQ(written ? Code::invalid : written.code(), Code::no_space);
  EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
}

TEST(FullErrorTest, APoolWithNothingLeftMakesNothingNewAndTellsOfAFailedCheckpoint) {
  World world({.verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 1 * GiB);
  const auto to = world.handle("db");
  u64 at = 0;
  for (const u64 size : {256 * KiB, 4 * KiB}) {
    const std::string bytes = pattern(7, size);
    for (Status status; status; at += size) status = world.run(to->write(at, std::as_bytes(std::span(bytes)), false));
  }
  // Their tables take what a write of one block no longer finds.
  const auto create = [&](u64 i) {
    return world.run(world.engine().volume_create("new" + std::to_string(i), 4096, {{"why", std::string(label_value_size_max, 'x')}}));
  };
  u64 made = 0;
  auto last = create(made);
  while (last && made < 1000) last = create(++made);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.code(), Code::no_space);
  EXPECT_LT(world.engine().status().free, block_size);
  EXPECT_EQ(world.run(world.engine().snapshot_create({"db@s"}, {})).code(), Code::no_space);
  EXPECT_EQ(world.run(world.engine().clone("db", {"dev"}, {})).code(), Code::no_space);
  EXPECT_TRUE(world.engine().status().writable);
  world.device().faults().write_error_one_in = 1;
  const std::string bytes = pattern(8, 4096);
  const Status status = world.run(to->write(0, std::as_bytes(std::span(bytes)), false));
  EXPECT_TRUE(status.code() == Code::read_only || status.code() == Code::io) << status.error().message;
  EXPECT_FALSE(world.engine().status().writable);
  EXPECT_EQ(world.read("db", 0, 4096), pattern(7, 256 * KiB).substr(0, 4096));
}

}  // namespace
}  // namespace brindle::model
