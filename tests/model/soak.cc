// soak.cc: plays seed after seed for as long as it is given: `soak [--seconds N] [--first SEED] [--rounds N] [--check]`.
#include <chrono>
#include <cstdio>
#include <cstring>

#include "model/player.h"

namespace {

using namespace brindle;

struct Arguments {
  u64 seconds = 60;
  u64 first = 1000;
  u64 rounds = 60;
  bool check = false;
};

bool parse(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (std::strcmp(argv[i], "--check") == 0) {
      out.check = true;
    } else if (more && std::strcmp(argv[i], "--seconds") == 0) {
      out.seconds = std::stoull(argv[++i]);
    } else if (more && std::strcmp(argv[i], "--first") == 0) {
      out.first = std::stoull(argv[++i]);
    } else if (more && std::strcmp(argv[i], "--rounds") == 0) {
      out.rounds = std::stoull(argv[++i]);
    } else {
      return false;
    }
  }
  return true;
}

Arguments arguments;

TEST(Soak, EverySeedAgreesWithTheModel) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(arguments.seconds);
  u64 seed = arguments.first;
  for (; std::chrono::steady_clock::now() < end; ++seed) {
    model::Player player({.seed = seed, .rounds = arguments.rounds, .check_always = arguments.check});
    player.play();
    if (testing::Test::HasFailure()) {
      std::fprintf(stderr, "%s\nseed %llu failed\n", player.told().c_str(), static_cast<unsigned long long>(seed));
      return;
    }
  }
  std::printf("%llu seeds agreed\n", static_cast<unsigned long long>(seed - arguments.first));
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr, "usage: soak [--seconds N] [--first SEED] [--rounds N] [--check]\n");
    return 2;
  }
  return RUN_ALL_TESTS();
}
