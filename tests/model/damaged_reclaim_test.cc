// damaged_reclaim_test.cc: deletions that meet pages of a map that are damaged.
#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

/// Volumes of eight leaves; pages are damaged while nobody has the pool open.
class DamagedReclaimTest : public testing::Test {
 protected:
  DamagedReclaimTest() : world({.pool_size = 256 * MiB, .verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    world.create("db", 8 * leaf_bytes);
    fill("db", 0, 8, 1);
    world.snapshot("db@s");
  }
  void fill(const std::string& volume, u64 first, u64 end, u64 stamp) {
    for (u64 at = first * leaf_bytes; at < end * leaf_bytes; at += 256 * KiB) world.write(volume, at, pattern(stamp++, 256 * KiB));
  }
  /// Flips a bit of the one page of a volume or snapshot that `pick` picks by its level and first leaf, and opens the pool again.
  template <class Pick>
  void damage(const std::string& volume, const std::string& snapshot, const Pick& pick) {
    world.sync();
    world.close();
    Image image(world.disk());
    const RootId root = image.root_of(volume, snapshot).id;
    u64 damaged = 0;
    image.edit_pages([&](EditedPage& page) {
      if (page.root.id == root && pick(page.level, page.first)) {
        image.flip(*image.locate(page.ref.name) + 100);
        ++damaged;
      }
      return false;
    });
    EXPECT_EQ(damaged, 1u);
    ASSERT_TRUE(world.open());
  }
  std::string health() { return world.engine().status().health; }
  World world;
};

TEST_F(DamagedReclaimTest, OfADamagedLeafOnlyThatLeafStays) {
  fill("db", 0, 8, 100);
  damage("db", "s", [](int level, u64 first) { return level == -1 && first == 2; });
  world.remove("db@s");
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), 9 * leaf_blocks) << "all that db has, and one leaf of the snapshot";
  EXPECT_NE(health().find("damage: up to 2097152 bytes"), std::string::npos) << health();
  world.remove("db");
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), leaf_blocks);
  world.close();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(health(), "ok") << "the deletion has ended, and is not begun again";
}

TEST_F(DamagedReclaimTest, BehindADamagedNodeTheNextDeletionsGoOn) {
  fill("db", 0, 8, 100);
  damage("db", "s", [](int level, u64) { return level == 0; });
  world.create("other", leaf_bytes);
  fill("other", 0, 1, 300);
  world.remove("db@s");
  world.remove("other");
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), 16 * leaf_blocks);
  EXPECT_NE(health().find("damage: up to 16777216 bytes"), std::string::npos) << health();
}

TEST_F(DamagedReclaimTest, ABranchPointLooksBehindADamagedLeafOfAChild) {
  world.clone("db@s", "dev");
  fill("dev", 0, 8, 200);
  fill("db", 0, 8, 100);
  damage("dev", "", [](int level, u64 first) { return level == -1 && first == 3; });
  world.remove("db@s");
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), 17 * leaf_blocks) << "of the branch point one leaf, since dev may have it";
  EXPECT_NE(health().find("damage: up to 2097152 bytes"), std::string::npos) << health();
  world.remove("dev");
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), 9 * leaf_blocks) << "the branch point has ended with it, and its blocks are back; those of dev are not";
}

TEST_F(DamagedReclaimTest, WhatIsPassedOverTheBranchPointAboveLooksAtAgain) {
  world.clone("db@s", "dev");
  world.clone("db@s", "test");
  world.remove("db@s");
  world.write("dev", leaf_bytes, pattern(200, block_size));  // a patch: the rest of that leaf is the branch point's
  fill("db", 0, 8, 100);
  fill("test", 0, 8, 300);
  damage("dev", "", [](int level, u64 first) { return level == -1 && first == 1; });
  EXPECT_EQ(world.engine().live_blocks(), 24 * leaf_blocks) << "with one of dev, and without the one of the branch point that it hid";
  world.remove("dev");
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), 16 * leaf_blocks + 1) << "all that was the branch point's is back, dev's block is not";
}

}  // namespace
}  // namespace brindle::model
