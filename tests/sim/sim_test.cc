// sim_test.cc: a few seeds of each profile in every run, and what the simulator promises of itself.
#include <gtest/gtest.h>

#include "sim/child.h"
#include "sim/shrink.h"

namespace brindle::sim {
namespace {

class Seeds : public testing::TestWithParam<u64> {};

TEST_P(Seeds, AgreeWithTheModel) {
  for (const u64 seed : {100 + GetParam(), 200 + GetParam()}) {
    const History history = draw_history({.seed = seed, .profile = static_cast<Profile>(GetParam())});
    const Verdict verdict = play_apart(history, {.seconds_max = 100});
    EXPECT_FALSE(verdict.played.failure) << "seed " << seed << ": " << *verdict.played.failure;
  }
}

INSTANTIATE_TEST_SUITE_P(EachProfile, Seeds, testing::Range<u64>(0, profiles));

TEST(Replay, TwoPlaysOfASeedAreTheSame) {
  for (u64 seed = 1; seed < 5; ++seed) {
    const History history = draw_history({.seed = seed});
    const Verdict one = play_apart(history, {.seconds_max = 100});
    const Verdict two = play_apart(draw_history({.seed = seed}), {.seconds_max = 100});
    EXPECT_GT(one.played.operations, 0u);
    EXPECT_EQ(one.played.trace, two.played.trace) << "seed " << seed;
    EXPECT_EQ(one.played.operations, two.played.operations);
  }
}

TEST(Replay, DifferentSeedsDiffer) {
  EXPECT_NE(play_apart(draw_history({.seed = 1}), {}).played.trace, play_apart(draw_history({.seed = 2}), {}).played.trace);
}

TEST(Shrink, LeavesTheItemsThatTheFailureNeeds) {
  const History history = draw_history({.seed = 3});
  ASSERT_GT(history.ops.size(), 40u);
  const auto attempt = [](const History& shorter) -> std::optional<Failing> {
    u64 needed = 0;
    for (const Op& op : shorter.ops) needed += op.index == 7 || op.index == 31 ? 1 : 0;
    if (needed < 2) return std::nullopt;
    return Failing{"both are there", ~u64{0}};
  };
  const Shrunk shrunk = shrink(history, {"both are there", ~u64{0}}, attempt, std::chrono::seconds(30));
  EXPECT_EQ(shrunk.keep, (std::vector<u64>{7, 31}));
}

TEST(Keep, ListsReadBackAsTheyWereTold) {
  const std::vector<u64> keep{0, 1, 2, 5, 9, 10};
  EXPECT_EQ(keep_text(keep), "0-2,5,9-10");
  EXPECT_EQ(parse_keep("0-2,5,9-10"), keep);
  for (const char* wrong : {"x", "1,", "3-2", "2,1", "1--2", "1-2-3", "-1"}) EXPECT_FALSE(parse_keep(wrong)) << wrong;
}

}  // namespace
}  // namespace brindle::sim
