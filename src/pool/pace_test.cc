#include "pool/pace.h"

#include <gtest/gtest.h>

namespace brindle {
namespace {

constexpr u64 most = 800;  // bytes of changed pages
constexpr u64 first = 500;  // at which a checkpoint begins at first

CheckpointWork dirty(u64 bytes, u64 settled = 0, u64 owed = 0) {
  return {.dirty_bytes = bytes, .sealed_bytes = 0, .settled = settled, .owed = owed};
}

TEST(PaceTest, WithoutACheckpointOnlyTheBoundHolds) {
  const Pace pace(most);
  EXPECT_EQ(pace.begin_bytes(), first);
  EXPECT_TRUE(pace.admits(dirty(most - 1)));
  EXPECT_FALSE(pace.admits(dirty(most)));
}

TEST(PaceTest, WritesGoOnInStepWithThePagesThatAreRead) {
  Pace pace(most);
  pace.begun(dirty(first, 1000, 64));
  EXPECT_TRUE(pace.admits(dirty(first - 1, 1000, 64))) << "whatever is under way";
  EXPECT_FALSE(pace.admits(dirty(first, 1000, 64)));
  // All of it is 300, and an eighth of that is kept.
  EXPECT_TRUE(pace.admits(dirty(first + 130, 1032, 32)));
  EXPECT_FALSE(pace.admits(dirty(first + 132, 1032, 32)));
  EXPECT_TRUE(pace.admits(dirty(first + 261, 1064, 0)));
  EXPECT_FALSE(pace.admits(dirty(first + 263, 1064, 0)));
}

TEST(PaceTest, OneThatBeginsLateHasTheRestToGive) {
  Pace pace(most);
  pace.begun(dirty(720, 0, 10));
  EXPECT_TRUE(pace.admits(dirty(754, 5, 5)));
  EXPECT_FALSE(pace.admits(dirty(756, 5, 5)));
  pace.begun(dirty(most + 100, 0, 10));
  EXPECT_FALSE(pace.admits(dirty(most + 100, 9, 1)));
}

TEST(PaceTest, OneThatHasNothingToReadHoldsUpOnlyTheLastEighth) {
  Pace pace(most);
  pace.begun(dirty(10));
  EXPECT_TRUE(pace.admits(dirty(first + 261)));
  EXPECT_FALSE(pace.admits(dirty(first + 263)));
}

TEST(PaceTest, PagesThatAreWrittenMakeRoomByThemselves) {
  Pace pace(most);
  pace.begun(dirty(first, 0, 10));
  pace.sealed({.dirty_bytes = 790, .sealed_bytes = 750, .settled = 10, .owed = 0});
  EXPECT_TRUE(pace.admits(dirty(799)));
  EXPECT_FALSE(pace.admits(dirty(most)));
}

TEST(PaceTest, WhileTablesAreWrittenSomeIsKeptForTheNextOne) {
  Pace pace(most);
  pace.begun(dirty(first));
  pace.sealed({.dirty_bytes = 750, .sealed_bytes = 750, .settled = 0, .owed = 0});
  pace.written();
  EXPECT_TRUE(pace.admits(dirty(first + 149)));
  EXPECT_FALSE(pace.admits(dirty(first + 150)));
  pace.ended();
  EXPECT_TRUE(pace.admits(dirty(most - 1)));
}

TEST(PaceTest, TheCheckpointOfAnOpeningIsNobodysToWaitFor) {
  Pace pace(most);
  pace.written();
  EXPECT_TRUE(pace.admits(dirty(most - 1)));
}

TEST(PaceTest, ACheckpointBeginsAsLateAsLeavesRoomForWhatComesIn) {
  Pace pace(most);
  const auto one = [&](u64 came_in) {
    const u64 from = pace.begin_bytes();
    pace.begun(dirty(from));
    pace.sealed({.dirty_bytes = from + came_in, .sealed_bytes = from + came_in, .settled = 0, .owed = 0});
    pace.written();
    pace.ended();
  };
  for (int i = 0; i < 20; ++i) one(0);
  EXPECT_EQ(pace.begin_bytes(), most / 8 * 7);
  for (int i = 0; i < 20; ++i) one(150);
  EXPECT_NEAR(static_cast<double>(pace.begin_bytes()), 600, 2);
  for (int i = 0; i < 20; ++i) one(400);
  EXPECT_EQ(pace.begin_bytes(), first);
  // One that begins for another reason tells nothing.
  pace.begun(dirty(0));
  pace.sealed({.dirty_bytes = 0, .sealed_bytes = 0, .settled = 0, .owed = 0});
  EXPECT_EQ(pace.begin_bytes(), first);
}

}  // namespace
}  // namespace brindle
