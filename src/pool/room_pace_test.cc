#include "pool/room_pace.h"

#include <gtest/gtest.h>

#include "pool/forecast.h"

namespace brindle {
namespace {

constexpr u64 ms = millisecond_ns;

TEST(RoomPaceTest, WhileNoRoomIsMadeNobodyWaits) {
  RoomPace pace;
  EXPECT_TRUE(pace.admits(1'000'000));
  EXPECT_FALSE(pace.ticks());
}

TEST(RoomPaceTest, TheLogGetsItsShareInTheTimeThatIsLeft) {
  RoomPace pace;
  pace.begun(5000, 1000);
  EXPECT_TRUE(pace.admits(5000));
  EXPECT_FALSE(pace.admits(5001));
  pace.tick(1 * ms, 5000, 0, 10.0 * ms);
  EXPECT_TRUE(pace.admits(5100));
  EXPECT_FALSE(pace.admits(5101));
  // It takes longer than was thought, and then less.
  pace.tick(2 * ms, 5100, 0, 90.0 * ms);
  EXPECT_TRUE(pace.admits(5110));
  EXPECT_FALSE(pace.admits(5111));
  pace.tick(3 * ms, 5110, 0, 2.0 * ms);
  EXPECT_TRUE(pace.admits(5555));
  EXPECT_FALSE(pace.admits(5556));
  pace.tick(4 * ms, 5555, 0, 1.0 * ms);
  EXPECT_TRUE(pace.admits(9000)) << "until the next tick";
}

TEST(RoomPaceTest, ARoundThatTakesLongerGivesHalfOfTheRest) {
  RoomPace pace;
  pace.begun(0, 1000);
  pace.tick(1 * ms, 0, 0, 1.0 * ms);
  EXPECT_TRUE(pace.admits(2000)) << "until the next tick";
  pace.tick(41 * ms, 2000, 8000, 1.0 * ms);
  EXPECT_TRUE(pace.admits(6000)) << "it was 40 ms late, and would be again";
  pace.tick(42 * ms, 6000, 4000, 1.0 * ms);
  EXPECT_TRUE(pace.admits(6048)) << "half of the rest, in 41 ms";
  EXPECT_FALSE(pace.admits(6049));
  pace.tick(43 * ms, 6048, 3952, 90.0 * ms);
  EXPECT_TRUE(pace.admits(6069)) << "or in as long as is thought by now";
  EXPECT_FALSE(pace.admits(6070));
  pace.ended(true);
  EXPECT_TRUE(pace.admits(9000));
}

TEST(RoomPaceTest, ATickThatComesLateGivesForAsLong) {
  RoomPace pace;
  pace.begun(0, 1000);
  pace.tick(1 * ms, 0, 0, 100.0 * ms);
  EXPECT_FALSE(pace.admits(11));
  pace.tick(21 * ms, 10, 0, 80.0 * ms);
  EXPECT_TRUE(pace.admits(257));
  EXPECT_FALSE(pace.admits(258));
}

TEST(RoomPaceTest, WhatNobodyTookMayBeHadLater) {
  RoomPace pace;
  pace.begun(0, 1000);
  for (u64 i = 1; i <= 5; ++i) pace.tick(i * ms, 0, 0, 10.0 * ms);
  EXPECT_TRUE(pace.admits(400));
  EXPECT_FALSE(pace.admits(411)) << "no more than as if all had been taken";
}

TEST(RoomPaceTest, ItGoesOnWhereItStoppedUntilRoomIsWon) {
  RoomPace pace;
  pace.begun(0, 1000);
  pace.tick(1 * ms, 0, 0, 10.0 * ms);
  pace.ended(false);
  EXPECT_TRUE(pace.admits(800)) << "between copies and the checkpoint nobody waits";
  pace.begun(800, 1000);
  pace.tick(2 * ms, 800, 0, 2.0 * ms);
  EXPECT_TRUE(pace.admits(900));
  EXPECT_FALSE(pace.admits(901));
  pace.ended(true);
  pace.begun(900, 1000);
  pace.tick(3 * ms, 900, 0, 10.0 * ms);
  EXPECT_TRUE(pace.admits(1000));
  EXPECT_FALSE(pace.admits(1001));
}

TEST(RoomPaceTest, WhatIsCopiedSetsWhatTheLogMayHave) {
  RoomPace pace;
  pace.begun(0, 1000);
  pace.tick(1 * ms, 0, 0, 10.0 * ms);
  pace.will_win(80, 200);
  EXPECT_FALSE(pace.admits(81)) << "it had been given 100";
  pace.tick(2 * ms, 80, 0, 2.0 * ms);
  EXPECT_TRUE(pace.admits(180));
  EXPECT_FALSE(pace.admits(181));
  pace.tick(3 * ms, 180, 0, 1.0 * ms);
  pace.will_win(280, 500);
  EXPECT_FALSE(pace.admits(281)) << "the next copies win more";
  pace.tick(4 * ms, 280, 0, 5.0 * ms);
  EXPECT_TRUE(pace.admits(380));
  EXPECT_FALSE(pace.admits(381));
  pace.ended(true);
  pace.will_win(400, 10);
  EXPECT_TRUE(pace.admits(1'000'000)) << "copied in a quiet pool";
}

TEST(RoomPaceTest, ARoundWithoutAnEndHoldsNobodyUpForLong) {
  RoomPace pace;
  pace.begun(0, 1'000'000);
  for (u64 i = 0; i < 1000; ++i) pace.tick((1 + i) * ms, 0, 0, 1e12);
  EXPECT_FALSE(pace.admits(2000));
  pace.tick(1001 * ms, 0, 0, 1e12);
  EXPECT_TRUE(pace.admits(2'000'000));
  EXPECT_FALSE(pace.ticks());
  pace.will_win(2'000'000, 1000);
  EXPECT_TRUE(pace.ticks()) << "it goes on";
}

TEST(ForecastTest, EachPartTakesAsLongAsItDid) {
  Forecast forecast;
  const CheckpointWork before{.dirty_bytes = 1000, .sealed_bytes = 0, .settled = 7, .owed = 100};
  forecast.copying(0, 500);
  forecast.copied(50 * ms);
  forecast.begun(50 * ms, before);
  forecast.sealed(60 * ms, {.dirty_bytes = 1000, .sealed_bytes = 1000, .settled = 107, .owed = 0});  // 0.1 ms a page
  forecast.written(80 * ms);                                                                         // 0.02 ms a byte
  forecast.ended(83 * ms);
  EXPECT_NEAR(forecast.left_ns(90 * ms, before), 33.0 * ms, 1e3);
  forecast.copying(100 * ms, 400);
  EXPECT_NEAR(forecast.left_ns(110 * ms, before), 63.0 * ms, 1e3) << "a fifth less is copied";
  EXPECT_NEAR(forecast.left_ns(900 * ms, before), 33.0 * ms, 1e3) << "copies that take longer may end any moment";
  forecast.copied(150 * ms);
  forecast.begun(150 * ms, before);
  EXPECT_NEAR(forecast.left_ns(155 * ms, {.dirty_bytes = 1100, .sealed_bytes = 0, .settled = 57, .owed = 60}), 31.0 * ms, 1e3);
  forecast.sealed(160 * ms, {.dirty_bytes = 1100, .sealed_bytes = 1100, .settled = 107, .owed = 0});
  EXPECT_NEAR(forecast.left_ns(170 * ms, {.dirty_bytes = 900, .sealed_bytes = 600, .settled = 107, .owed = 3}), 15.0 * ms, 1e3);
  forecast.written(182 * ms);
  EXPECT_NEAR(forecast.left_ns(183 * ms, {}), 2.0 * ms, 1e3);
}

}  // namespace
}  // namespace brindle
