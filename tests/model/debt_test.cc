// debt_test.cc: overwritten blocks of leaves that are not in memory, on a device that does not read them when they are due.
#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

/// A pool whose leaves are on the device alone, and the overwritten blocks of one of them not yet settled.
class DebtTest : public testing::Test {
 protected:
  DebtTest() : world({.verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    world.create("db", 16 * MiB);
    for (u64 i = 0; i < 16; ++i) world.write("db", i * 256 * KiB, pattern(i, 256 * KiB));
    world.sync();
    world.close();
    EXPECT_TRUE(world.open());
    live = world.engine().live_blocks();
    for (u64 i = 0; i < 8; ++i) world.write("db", i * 3 * block_size, pattern(100 + i, block_size));
  }
  void fail_reads(bool on) { world.device().faults().read_error_one_in = on ? 1 : 0; }
  Status checkpoint() { return world.run(world.engine().sync()); }
  void expect_clean() {
    const auto report = world.verify();
    ASSERT_TRUE(report);
    for (const CheckDamage& damage : report->damage) ADD_FAILURE() << damage.kind << ": " << damage.note;
  }
  /// Entries of the largest patch on the disk, which no engine has open.
  size_t largest_patch() {
    size_t most = 0;
    Image(world.disk()).edit_pages([&](EditedPage& page) {
      if (const auto* patch = std::get_if<PatchData>(&page.page)) most = std::max(most, patch->names.size());
      return false;
    });
    return most;
  }
  void rest(u64 ns) {
    world.runtime().run([](SimRuntime& runtime, u64 for_ns) -> Task<void> { co_await runtime.sleep(for_ns); }(world.runtime(), ns));
  }
  World world;
  u64 live = 0;
};

TEST_F(DebtTest, AnErrorThatPassesWithinASecondDelaysACheckpointAndCostsNothing) {
  EXPECT_EQ(world.engine().live_blocks(), live + 8) << "nothing has read the leaf yet";
  world.device().faults().failing_reads = 6;
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint());
  EXPECT_GT(world.runtime().now_ns() - began_ns, 50 * millisecond_ns) << "it rests between two tries";
  EXPECT_EQ(world.engine().live_blocks(), live);
  EXPECT_EQ(world.engine().status().health, "ok");
  world.close();
  expect_clean();
}

TEST_F(DebtTest, OneThatLastsHoldsNobodyUpAndIsToldAndMendedLater) {
  fail_reads(true);
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint()) << "what a checkpoint writes is all in memory";
  EXPECT_LT(world.runtime().now_ns() - began_ns, 2 * second_ns);
  EXPECT_EQ(world.engine().live_blocks(), live + 8);
  EXPECT_NE(world.engine().status().health.find("1 pages"), std::string::npos) << world.engine().status().health;
  // More of the same leaf: a checkpoint does not wait for it a second time.
  for (u64 i = 0; i < 4; ++i) world.write("db", (100 + i) * block_size, pattern(200 + i, block_size));
  const u64 again_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint());
  EXPECT_LT(world.runtime().now_ns() - again_ns, 100 * millisecond_ns);
  const u64 reads = world.device().reads();
  rest(60 * second_ns);
  EXPECT_LT(world.device().reads() - reads, 100u) << "it rests longer and longer";
  fail_reads(false);
  rest(130 * second_ns);
  EXPECT_EQ(world.engine().live_blocks(), live) << "nobody had to ask";
  EXPECT_EQ(world.engine().status().health, "ok");
  world.close();
  expect_clean();
}

TEST_F(DebtTest, ALeafThatIsLetGoMeanwhileKeepsItsPlaceUntilItIsRead) {
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  world.write("db", 0, pattern(300, 2 * MiB));  // all of the leaf
  EXPECT_TRUE(checkpoint());
  // Nothing may be written where the leaf is.
  for (u64 i = 0; i < 64; ++i) {
    world.write("db", 8 * MiB + i % 16 * 256 * KiB, pattern(400 + i, 256 * KiB));
    EXPECT_TRUE(checkpoint());
  }
  fail_reads(false);
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().status().health, "ok");
  EXPECT_EQ(world.engine().live_blocks(), live + 4 * MiB / block_size);
  EXPECT_EQ(world.read("db", 0, 2 * MiB), pattern(300, 2 * MiB));
  world.close();
  expect_clean();
}

TEST_F(DebtTest, APatchThatGrowsOverALeafThatIsNotInMemoryBecomesALeaf) {
  const auto block_of = [](u64 round, u64 i) { return (round * 8 + i) * 3 * block_size; };
  EXPECT_TRUE(checkpoint());
  for (u64 round = 1; round < 16; ++round) {
    // Every other time the patch is in memory, and what it stands over is not; else neither is.
    world.close();
    ASSERT_TRUE(world.open());
    if (round % 2 == 0) {
      EXPECT_EQ(world.read("db", block_of(0, 0), block_size), pattern(100, block_size));
    }
    for (u64 i = 0; i < 8; ++i) world.write("db", block_of(round, i), pattern(100 + round * 8 + i, block_size));
    // A device that does not read just then only puts it off.
    const bool fails = round == 9 || round == 10;
    fail_reads(fails);
    EXPECT_TRUE(checkpoint());
    fail_reads(false);
    EXPECT_TRUE(checkpoint());
    EXPECT_EQ(world.engine().live_blocks(), live);
    EXPECT_EQ(world.engine().status().health, "ok");
  }
  world.close();
  EXPECT_LE(largest_patch(), 64u);
  expect_clean();
  ASSERT_TRUE(world.open());
  for (u64 round = 0; round < 16; ++round) {
    for (u64 i = 0; i < 8; ++i) {
      EXPECT_EQ(world.read("db", block_of(round, i), block_size), pattern(100 + round * 8 + i, block_size));
    }
  }
  world.remove("db");
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  world.close();
  expect_clean();
}

TEST_F(DebtTest, APatchThatOnlyWantsToBecomeALeafStaysOneWhereThatCannotBeRead) {
  for (u64 i = 8; i < 80; ++i) world.write("db", i * 3 * block_size, pattern(100 + i, block_size));
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  fail_reads(false);
  EXPECT_TRUE(checkpoint());  // what it hides is settled, and it is on the device as it is
  EXPECT_EQ(world.engine().live_blocks(), live);
  world.close();
  EXPECT_EQ(largest_patch(), 80u);
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.read("db", 0, block_size), pattern(100, block_size));  // now it is in memory, and its leaf is not
  world.write("db", 0, pattern(300, block_size));
  fail_reads(true);
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint());
  EXPECT_LT(world.runtime().now_ns() - began_ns, 2 * second_ns);
  EXPECT_EQ(world.engine().status().health, "ok") << "nothing is owed";
  fail_reads(false);
  world.write("db", 0, pattern(301, block_size));
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live);
  EXPECT_EQ(world.read("db", 0, block_size), pattern(301, block_size));
  EXPECT_EQ(world.read("db", 79 * 3 * block_size, block_size), pattern(179, block_size));
  world.close();
  EXPECT_LE(largest_patch(), 64u);
  expect_clean();
}

TEST_F(DebtTest, APatchOverOneThatCannotBeReadKeepsWhatIsBelow) {
  EXPECT_TRUE(checkpoint());  // the first patch is on the device now
  world.close();
  ASSERT_TRUE(world.open());
  world.write("db", 1 * block_size, pattern(500, block_size));  // over a patch that is not in memory
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  fail_reads(false);
  const auto expect = [&] {
    EXPECT_EQ(world.read("db", 1 * block_size, block_size), pattern(500, block_size));
    for (u64 i = 1; i < 8; ++i) EXPECT_EQ(world.read("db", i * 3 * block_size, block_size), pattern(100 + i, block_size));
    EXPECT_EQ(world.read("db", 2 * block_size, block_size), pattern(0, 256 * KiB).substr(2 * block_size, block_size));
  };
  expect();
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live);
  world.close();
  expect_clean();
  ASSERT_TRUE(world.open());
  expect();
  // And all of it comes back: overwritten under a snapshot, and deleted.
  world.snapshot("db@s");
  world.write("db", 5 * block_size, pattern(501, block_size));
  EXPECT_TRUE(checkpoint());
  world.remove("db@s");
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live);
  expect();
  world.remove("db");
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  world.close();
  expect_clean();
}

TEST_F(DebtTest, APatchOverAPatchOverALeafGoesWithBoth) {
  EXPECT_TRUE(checkpoint());
  world.close();
  ASSERT_TRUE(world.open());
  world.write("db", 1 * block_size, pattern(500, block_size));
  fail_reads(true);
  EXPECT_TRUE(checkpoint());  // the new patch keeps the one below, which could not be read
  world.lose_power();
  ASSERT_TRUE(world.open());
  auto db = world.handle("db");
  EXPECT_TRUE(world.run(db->zero(0, leaf_blocks * block_size, false)));  // hides all three, of which none has been read
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live - leaf_blocks);
  db.reset();
  world.close();
  expect_clean();
}

TEST_F(DebtTest, APoolThatClosesWaitsForNoDevice) {
  fail_reads(true);
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(world.run(world.engine().close()));
  EXPECT_LT(world.runtime().now_ns() - began_ns, 1 * second_ns);
  world.kill();
}

TEST_F(DebtTest, ADeletionWaitsForADeviceThatDoesNotReadAndGoesOnByItself) {
  EXPECT_TRUE(checkpoint());
  world.close();
  ASSERT_TRUE(world.open());
  fail_reads(true);
  world.remove("db");
  EXPECT_TRUE(checkpoint());
  EXPECT_GT(world.engine().live_blocks(), 0u);
  EXPECT_NE(world.engine().status().health.find("1 deletions"), std::string::npos) << world.engine().status().health;
  fail_reads(false);
  rest(5 * second_ns);
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  EXPECT_EQ(world.engine().status().health, "ok");
  world.close();
  expect_clean();
}

TEST_F(DebtTest, WhatIsOwedOutlivesAPowerLossWhileTheDeviceDoesNotRead) {
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  world.write("db", 0, pattern(300, 2 * MiB));  // all of the leaf: it is let go
  EXPECT_TRUE(checkpoint());
  fail_reads(false);
  world.lose_power();
  expect_clean();
  ASSERT_TRUE(world.open());
  EXPECT_NE(world.engine().status().health.find("1 pages"), std::string::npos) << world.engine().status().health;
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().status().health, "ok");
  EXPECT_EQ(world.engine().live_blocks(), live);
  EXPECT_EQ(world.read("db", 0, 2 * MiB), pattern(300, 2 * MiB));
  world.close();
  expect_clean();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.engine().status().health, "ok") << "settled once, and not again";
  EXPECT_EQ(world.engine().live_blocks(), live);
}

TEST_F(DebtTest, ACloneWritesOverAPatchThatCannotBeRead) {
  EXPECT_TRUE(checkpoint());
  world.snapshot("db@s");
  world.clone("db@s", "dev");
  EXPECT_TRUE(checkpoint());
  world.close();
  ASSERT_TRUE(world.open());
  for (const char* volume : {"db", "dev"}) world.write(volume, 0, pattern(0, block_size));  // nodes come in
  EXPECT_TRUE(checkpoint());
  world.close();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.read("db", 12 * MiB, block_size), std::string(block_size, '\0'));
  EXPECT_EQ(world.read("dev", 12 * MiB, block_size), std::string(block_size, '\0'));
  world.snapshot("dev@t");
  world.clone("dev@t", "other");
  EXPECT_EQ(world.read("other", 12 * MiB, block_size), std::string(block_size, '\0'));
  world.write("dev", 1 * block_size, pattern(700, block_size));  // over the patch that both share
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  world.write("other", 2 * block_size, pattern(701, block_size));
  EXPECT_TRUE(checkpoint()) << "a patch over one that stalled";
  fail_reads(false);
  world.lose_power();
  expect_clean();
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().status().health, "ok");
  EXPECT_EQ(world.read("dev", 1 * block_size, block_size), pattern(700, block_size));
  EXPECT_EQ(world.read("other", 2 * block_size, block_size), pattern(701, block_size));
  EXPECT_EQ(world.read("other", 3 * block_size, block_size), pattern(101, block_size));
  for (const char* name : {"other", "dev@t", "dev", "db@s", "db"}) world.remove(name);
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  world.close();
  expect_clean();
}

TEST_F(DebtTest, ADamagedLeafEndsItsDebtsAndIsTold) {
  world.close();
  Image image(world.disk());
  image.edit_pages([&](EditedPage& page) {
    if (std::holds_alternative<LeafData>(page.page) && page.first == 0) image.flip(*image.locate(page.ref.name) + 100);
    return false;
  });
  ASSERT_TRUE(world.open());
  for (u64 i = 0; i < 4; ++i) world.write("db", (100 + i) * block_size, pattern(600 + i, block_size));
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live + 4);
  EXPECT_NE(world.engine().status().health.find("damage: up to 16384 bytes"), std::string::npos) << world.engine().status().health;
  for (u64 i = 0; i < 4; ++i) EXPECT_EQ(world.read("db", (100 + i) * block_size, block_size), pattern(600 + i, block_size));
  world.close();
}

}  // namespace
}  // namespace brindle::model
