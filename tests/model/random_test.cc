// random_test.cc: a few dozen seeds of the player in every run; `soak` plays as many as there is time for.
#include "model/player.h"

namespace brindle::model {
namespace {

class RandomPlay : public testing::TestWithParam<u64> {};

TEST_P(RandomPlay, AgreesWithTheModel) {
  Player player({.seed = GetParam()});
  player.play();
  if (HasFailure()) std::fputs(player.told().c_str(), stderr);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPlay, testing::Range<u64>(1, 41));

}  // namespace
}  // namespace brindle::model
