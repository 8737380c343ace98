#include "pool/pace.h"

#include <gtest/gtest.h>

namespace brindle {
namespace {

constexpr u64 bytes_max = 800;  // bytes of changed pages
constexpr u64 begins_at = 500;  // at which a checkpoint begins at first

CheckpointWork dirty(u64 bytes, u64 settled = 0, u64 owed = 0) {
  return {.dirty_bytes = bytes, .sealed_bytes = 0, .settled = settled, .owed = owed};
}

TEST(PaceTest, WithoutACheckpointOnlyTheBoundHolds) {
  const Pace pace(bytes_max);
  EXPECT_EQ(pace.begin_bytes(), begins_at);
  EXPECT_TRUE(pace.admits(dirty(bytes_max - 1)));
  EXPECT_FALSE(pace.admits(dirty(bytes_max)));
}

TEST(PaceTest, WritesGoOnInStepWithThePagesThatAreRead) {
  Pace pace(bytes_max);
  pace.begun(dirty(begins_at, 1000, 64));
  EXPECT_TRUE(pace.admits(dirty(begins_at - 1, 1000, 64))) << "whatever is under way";
  EXPECT_FALSE(pace.admits(dirty(begins_at, 1000, 64)));
  // All of it is 300, and an eighth of that is kept.
  EXPECT_TRUE(pace.admits(dirty(begins_at + 130, 1032, 32)));
  EXPECT_FALSE(pace.admits(dirty(begins_at + 132, 1032, 32)));
  EXPECT_TRUE(pace.admits(dirty(begins_at + 261, 1064, 0)));
  EXPECT_FALSE(pace.admits(dirty(begins_at + 263, 1064, 0)));
}

TEST(PaceTest, OneThatBeginsLateHasTheRestToGive) {
  Pace pace(bytes_max);
  pace.begun(dirty(720, 0, 10));
  EXPECT_TRUE(pace.admits(dirty(754, 5, 5)));
  EXPECT_FALSE(pace.admits(dirty(756, 5, 5)));
  pace.begun(dirty(bytes_max + 100, 0, 10));
  EXPECT_FALSE(pace.admits(dirty(bytes_max + 100, 9, 1)));
}

TEST(PaceTest, OneThatHasNothingToReadHoldsUpOnlyTheLastEighth) {
  Pace pace(bytes_max);
  pace.begun(dirty(10));
  EXPECT_TRUE(pace.admits(dirty(begins_at + 261)));
  EXPECT_FALSE(pace.admits(dirty(begins_at + 263)));
}

TEST(PaceTest, PagesThatAreWrittenMakeRoomByThemselves) {
  Pace pace(bytes_max);
  pace.begun(dirty(begins_at, 0, 10));
  pace.sealed({.dirty_bytes = 790, .sealed_bytes = 750, .settled = 10, .owed = 0});
  EXPECT_TRUE(pace.admits(dirty(799)));
  EXPECT_FALSE(pace.admits(dirty(bytes_max)));
}

TEST(PaceTest, WhileTablesAreWrittenSomeIsKeptForTheNextOne) {
  Pace pace(bytes_max);
  pace.begun(dirty(begins_at));
  pace.sealed({.dirty_bytes = 750, .sealed_bytes = 750, .settled = 0, .owed = 0});
  pace.written();
  EXPECT_TRUE(pace.admits(dirty(begins_at + 149)));
  EXPECT_FALSE(pace.admits(dirty(begins_at + 150)));
  pace.ended();
  EXPECT_TRUE(pace.admits(dirty(bytes_max - 1)));
}

TEST(PaceTest, TheCheckpointOfAnOpeningIsNobodysToWaitFor) {
  Pace pace(bytes_max);
  pace.written();
  EXPECT_TRUE(pace.admits(dirty(bytes_max - 1)));
}

TEST(PaceTest, ACheckpointBeginsAsLateAsLeavesRoomForWhatComesIn) {
  Pace pace(bytes_max);
  const auto one = [&](u64 came_in) {
    const u64 from = pace.begin_bytes();
    pace.begun(dirty(from));
    pace.sealed({.dirty_bytes = from + came_in, .sealed_bytes = from + came_in, .settled = 0, .owed = 0});
    pace.written();
    pace.ended();
  };
  for (int i = 0; i < 20; ++i) one(0);
  EXPECT_EQ(pace.begin_bytes(), bytes_max / 8 * 7);
  for (int i = 0; i < 20; ++i) one(150);
  EXPECT_NEAR(static_cast<double>(pace.begin_bytes()), 600, 2);
  for (int i = 0; i < 20; ++i) one(400);
  EXPECT_EQ(pace.begin_bytes(), begins_at);
  // One that begins for another reason tells nothing.
  pace.begun(dirty(0));
  pace.sealed({.dirty_bytes = 0, .sealed_bytes = 0, .settled = 0, .owed = 0});
  EXPECT_EQ(pace.begin_bytes(), begins_at);
}

}  // namespace
}  // namespace brindle
