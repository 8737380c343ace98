// tidy_test.cc: what is written once more, what is not, and that nobody sees it but by the time that reading takes.
#include "model/world.h"

namespace brindle::model {
namespace {

constexpr u64 volume_size = 4 * MiB;
constexpr u64 blocks = volume_size / block_size;

class TidyTest : public testing::Test {
 protected:
  TidyTest() : world({}) {
    EXPECT_TRUE(world.open());
    world.create("db", volume_size);
  }
  /// Writes `count` blocks from `first` on, one by one, and never two neighbours after each other. (37 divides none of the counts.)
  void scatter(u64 stamp, u64 first = 0, u64 count = blocks) {
    for (u64 i = 0; i < count; ++i) {
      const u64 block = first + i * 37 % count;
      world.write("db", block * block_size, content(stamp, block));
    }
  }
  static std::string content(u64 stamp, u64 block) { return pattern(stamp * blocks + block, block_size); }
  void expect(const std::string& name, u64 stamp, u64 first = 0, u64 count = blocks) {
    for (u64 block = first; block < first + count; ++block) {
      ASSERT_EQ(world.read(name, block * block_size, block_size), content(stamp, block)) << name << ", block " << block;
    }
  }
  Engine::Progress tidy(std::vector<std::string> names = {}) {
    Engine::Progress progress;
    EXPECT_TRUE(world.run(world.engine().tidy(std::move(names), &progress)));
    EXPECT_EQ(progress.done, progress.total);
    return progress;
  }
  /// Requests that reading all of it in order costs the device.
  u64 reads_of_all(const std::string& name) {
    const u64 before = world.device().reads();
    static_cast<void>(world.read(name, 0, volume_size));
    return world.device().reads() - before;
  }
  World world;
};

TEST_F(TidyTest, PutsInOrderWhatWasWrittenAtRandomAndThenFindsNothingMore) {
  scatter(1);
  world.sync();
  EXPECT_GT(reads_of_all("db"), blocks / 2);
  const u64 live = world.engine().live_blocks();
  EXPECT_EQ(tidy().rewritten, volume_size);
  EXPECT_LE(reads_of_all("db"), blocks / 16);
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), live);
  EXPECT_EQ(tidy().rewritten, 0u);
  expect("db", 1);
  world.kill();
  ASSERT_TRUE(world.open());
  expect("db", 1);
}

TEST_F(TidyTest, WhatASnapshotHoldsStaysAndCostsNoSpace) {
  scatter(1);
  world.snapshot("db@s");
  EXPECT_EQ(tidy().rewritten, 0u);
  EXPECT_EQ(tidy().shared, volume_size);
  scatter(2, 100, 200);
  world.sync();
  const u64 live = world.engine().live_blocks();
  const Engine::Progress progress = tidy({"db"});
  EXPECT_GT(progress.rewritten, 150 * block_size);
  EXPECT_LE(progress.rewritten, 200 * block_size);
  EXPECT_GT(progress.shared, volume_size / 2);
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), live);
  expect("db@s", 1);
  expect("db", 1, 0, 100);
  expect("db", 2, 100, 200);
  expect("db", 1, 300, blocks - 300);
  // With the snapshot gone all of it is the volume's own.
  world.remove("db@s");
  world.sync();
  EXPECT_GT(tidy().rewritten, volume_size / 2);
  expect("db", 2, 100, 200);
}

TEST_F(TidyTest, WhatIsDamagedStaysDamagedAndNothingElseIsLost) {
  scatter(1);
  world.sync();
  for (auto& [number, block] : world.disk().blocks) {
    if (std::memcmp(block.data(), content(1, 77).data(), block_size) == 0) block[9] ^= std::byte{1};
  }
  world.plant_damage();
  const Engine::Progress progress = tidy();
  EXPECT_EQ(progress.rewritten, volume_size - 64 * block_size);  // the row that it is in stays
  const auto handle = world.handle("db");
  std::string byte(block_size, 'x');
  EXPECT_EQ(world.run(handle->read(77 * block_size, std::as_writable_bytes(std::span(byte)))).code(), Code::corrupt);
  expect("db", 1, 0, 77);
  expect("db", 1, 78, blocks - 78);
}

Task<void> overwrite(Handle& to, u64 first, u64 count, Status& status) {
  for (u64 block = first; block < first + count; ++block) {
    const std::string bytes = pattern(5 * blocks + block, block_size);
    const Status done = co_await to.write(block * block_size, std::as_bytes(std::span(bytes)), false);
    if (!done) status = done;
  }
}

Task<Status> overwrite_meanwhile(World& world, Handle& to) {
  Gate gate(world.runtime());
  Status status;
  for (u64 first = 0; first < blocks; first += 64) gate.spawn(overwrite(to, first, 64, status));
  Status tidied = co_await world.engine().tidy({}, nullptr);
  co_await gate.close();
  co_return tidied ? status : tidied;
}

TEST_F(TidyTest, NobodysWriteIsLostMeanwhile) {
  scatter(1);
  const auto handle = world.handle("db");
  EXPECT_TRUE(world.run(overwrite_meanwhile(world, *handle)));
  expect("db", 5);
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), blocks);
}

TEST_F(TidyTest, HolesStayHoles) {
  scatter(1, 0, 100);
  scatter(1, 300, 100);
  world.sync();
  EXPECT_GT(tidy().rewritten, 150 * block_size);
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), 200u);
}

TEST_F(TidyTest, SaysWhyNot) {
  scatter(1, 0, 64);
  world.snapshot("db@s");
  EngineCore& engine = world.engine();
  EXPECT_EQ(world.run(engine.tidy({"nobody"}, nullptr)).code(), Code::not_found);
  EXPECT_EQ(world.run(engine.tidy({"db", "db@s"}, nullptr)).code(), Code::invalid);
  Engine::Progress progress{.stop = true};
  EXPECT_EQ(world.run(engine.tidy({}, &progress)).code(), Code::cancelled);
  world.device().faults().failing_flushes = 100;
  const auto handle = world.handle("db");
  const std::string bytes = content(2, 0);
  EXPECT_FALSE(world.run(handle->write(0, std::as_bytes(std::span(bytes)), true)));
  EXPECT_EQ(world.run(engine.tidy({}, nullptr)).code(), Code::read_only);
  world.kill();
}

Task<Status> close_meanwhile(World& world, Status& tidied) {
  struct Tidy {
    static Task<void> run(World& world, Status& tidied) { tidied = co_await world.engine().tidy({}, nullptr); }
  };
  Gate gate(world.runtime());
  gate.spawn(Tidy::run(world, tidied));
  Status closed = co_await world.engine().close();
  co_await gate.close();
  co_return closed;
}

TEST_F(TidyTest, ClosingEndsIt) {
  scatter(1);
  Status tidied;
  EXPECT_TRUE(world.run(close_meanwhile(world, tidied)));
  EXPECT_EQ(tidied.code(), Code::stopping);
  world.kill();
  ASSERT_TRUE(world.open());
  expect("db", 1);
}

TEST_F(TidyTest, AFullPoolSaysSoAndLosesNothing) {
  scatter(1);
  world.create("ballast", 1 * GiB);
  auto ballast = world.handle("ballast");
  const std::string bytes = pattern(7, 64 * KiB);
  u64 offset = 0;
  while (world.run(ballast->write(offset, std::as_bytes(std::span(bytes)), false))) offset += bytes.size();
  Engine::Progress progress;
  const Status status = world.run(world.engine().tidy({"db"}, &progress));
  if (!status) {
    EXPECT_EQ(status.code(), Code::no_space);
  }
  expect("db", 1);
  ballast.reset();
  world.remove("ballast");
  world.sync();
  const u64 rest = tidy({"db"}).rewritten;
  EXPECT_EQ(rest + progress.rewritten, volume_size);
  expect("db", 1);
}

}  // namespace
}  // namespace brindle::model
