// table_test.cc: the segment table on disk, checkpoint by checkpoint: what changed is told, and what was told before does not pile up.
#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

class TableTest : public testing::Test {
 protected:
  static constexpr u64 volume_size = 128 * MiB;

  TableTest() : world({.pool_size = 256 * MiB, .verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    world.create("db", volume_size);
    for (u64 at = 0; at < volume_size; at += MiB) world.write("db", at, pattern(1, MiB));
    checkpoint();
  }
  void checkpoint() { EXPECT_TRUE(world.run(world.engine().sync())); }
  u64 written() { return world.engine().pool_counters().table_bytes_written; }
  /// Of the tables on the disk as it lies.
  u64 count(TableId table) { return Image(world.disk()).count(table); }
  void expect_good() {
    const auto report = world.verify();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->damage.empty());
  }

  World world;
  Rng rng{1};
};

TEST_F(TableTest, ACheckpointTellsWhatChangedAndNotAllThatItIsIn) {
  // One block in each segment, of a few hundred of them.
  const u64 whole = Image(world.disk()).length(TableId::segments);
  EXPECT_GE(count(TableId::segments), 4u);
  u64 most = 0;
  u64 sum = 0;
  for (u64 round = 0; round < 100; ++round) {
    const u64 before = written();
    for (u64 at = 0; at < volume_size; at += 4 * MiB) {
      world.write("db", at + rng.below(4 * MiB / block_size) * block_size, pattern(round, block_size));
    }
    checkpoint();
    sum += written() - before;
    most = std::max(most, count(TableId::changes));
  }
  EXPECT_LT(sum, 100 * whole / 2) << "all of " << whole << " bytes changed a little each time";
  EXPECT_GE(most, 8u);
  expect_good();
  world.kill();
  ASSERT_TRUE(world.open());
  expect_good();
}

TEST_F(TableTest, ChangesDoNotPileUpHoweverSmallTheyAre) {
  u64 most = 0;
  for (u64 round = 0; round < 300; ++round) {
    world.write("db", rng.below(volume_size / block_size) * block_size, pattern(round, block_size));
    checkpoint();
    if (round % 16 != 0) continue;
    most = std::max(most, count(TableId::changes));
    // What is loaded goes on as what was written.
    world.kill();
    ASSERT_TRUE(world.open());
    expect_good();
  }
  EXPECT_GE(most, 32u);
  EXPECT_LE(most, 66u);
}

TEST_F(TableTest, WhenAllIsDeletedSoAreTheTables) {
  for (u64 round = 0; round < 20; ++round) {
    for (u64 i = 0; i < 64; ++i) world.write("db", rng.below(volume_size / block_size) * block_size, pattern(round, block_size));
    checkpoint();
  }
  EXPECT_GT(count(TableId::changes), 0u);
  world.remove("db");
  world.sync();
  checkpoint();
  checkpoint();
  EXPECT_LE(count(TableId::segments), 1u) << "what the log is in";
  EXPECT_LE(Image(world.disk()).length(TableId::changes), 64u);
}

TEST_F(TableTest, TheSuperblockTellsOfChangesWhileThereAreAny) {
  const auto told = [&] { return (Image(world.disk()).super.features.incompatible & feature_changes) != 0; };
  for (u64 round = 0; round < 5; ++round) {
    world.write("db", round * 20 * MiB, pattern(round, block_size));
    checkpoint();
  }
  EXPECT_GT(count(TableId::changes), 0u);
  EXPECT_TRUE(told());
  world.remove("db");
  world.sync();
  for (u64 round = 0; round < 3; ++round) checkpoint();
  EXPECT_EQ(told(), count(TableId::changes) > 0);
}

}  // namespace
}  // namespace brindle::model
