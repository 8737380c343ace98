// soak.cc: plays seed after seed for as long as it is given.
//
// Seeds are played in child processes, a few in each: an engine that crashed is left as it lay, as the dead are, and only
// the end of its process gives the memory back.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "model/player.h"

namespace {

using namespace brindle;

constexpr u64 seeds_a_child = 20;

struct Arguments {
  u64 seconds = 60;
  u64 first = 1000;
  u64 seeds = ~u64{0};
  u64 rounds = 60;
  u64 jobs = 1;
  bool check = false;
};

bool parse(int argc, char** argv, Arguments& out) {
  const std::map<std::string, u64*> numbers{{"--seconds", &out.seconds}, {"--first", &out.first},
                                            {"--seeds", &out.seeds},     {"--rounds", &out.rounds},
                                            {"--jobs", &out.jobs}};
  for (int i = 1; i < argc; ++i) {
    const auto number = numbers.find(argv[i]);
    if (std::strcmp(argv[i], "--check") == 0) {
      out.check = true;
    } else if (number != numbers.end() && i + 1 < argc) {
      *number->second = std::stoull(argv[++i]);
    } else {
      return false;
    }
  }
  return out.jobs > 0;
}

Arguments arguments;

/// Plays the seeds [first, first + count) in this process; 1 when one of them fails.
int play(u64 first, u64 count) {
  for (u64 seed = first; seed < first + count; ++seed) {
    model::Player player({.seed = seed, .rounds = arguments.rounds, .check_always = arguments.check});
    player.play();
    if (testing::Test::HasFailure()) {
      std::fprintf(stderr, "%s\nseed %llu failed; again with: soak --first %llu --seeds 1 --rounds %llu\n",
                   player.told().c_str(), static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed),
                   static_cast<unsigned long long>(arguments.rounds));
      return 1;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: soak [--seconds N] [--first SEED] [--seeds N] [--rounds N] [--jobs N] [--check]\n"
                 "       (--check compares the account after every step)\n");
    return 2;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(arguments.seconds);
  u64 next = arguments.first;
  const u64 last = arguments.seeds > ~u64{0} - next ? ~u64{0} : next + arguments.seeds;
  std::map<pid_t, u64> running;  // -> seeds
  u64 played = 0;
  u64 failures = 0;
  while (failures == 0 || !running.empty()) {
    const bool more = failures == 0 && next < last && std::chrono::steady_clock::now() < end;
    if (more && running.size() < arguments.jobs) {
      const u64 count = std::min(seeds_a_child, last - next);
      const pid_t child = fork();
      if (child == 0) _exit(play(next, count));
      running[child] = count;
      next += count;
      continue;
    }
    if (running.empty()) break;
    int status = 0;
    const pid_t ended = wait(&status);
    played += running[ended];
    running.erase(ended);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      ++failures;
      if (WIFSIGNALED(status)) std::fprintf(stderr, "a child was ended by signal %d\n", WTERMSIG(status));
    }
  }
  std::printf("%llu seeds from %llu, %llu failures\n", static_cast<unsigned long long>(played),
              static_cast<unsigned long long>(arguments.first), static_cast<unsigned long long>(failures));
  return failures == 0 ? 0 : 1;
}
