// sim.cc: plays seed after seed, in child processes, and makes what fails short.
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include <fmt/format.h>

#ifdef BRINDLE_PLANTED
#include "base/planted.h"
#endif
#include "model/memory.h"
#include "sim/child.h"
#include "sim/shrink.h"

namespace {

using namespace brindle;
using namespace brindle::sim;
using Clock = std::chrono::steady_clock;

constexpr const char* usage = R"(usage: sim [OPTION...]

Plays random histories of a pool, with crashes and faults, on the real engine, and compares it with a plain model.

  --seed N       the first seed (1)
  --seeds N      how many (300; with --seed alone: one)
  --minutes N    as many as there is time for
  --jobs N       child processes at once (the cores)
  --profile NAME of each seed, instead of its own: plain, many-lanes, tiny-cache, nearly-full, full-host,
                 deletions, aging, errors, damage
  --keep LIST    of the seed's history only these items, as a failure tells them: 0-3,7,9
  --no-shrink    do not look for a shorter history that fails as well
  --first        end with the first failure
  --plant NAME   with one of the planted bugs (needs a build that holds them)
  --verbose      tell every step on stderr
  --help         this
)";

constexpr u64 seeds_a_child = 5;
constexpr u64 failures_told_max = 10;  // at full length, with a shorter history
constexpr std::chrono::seconds shrink_time(25);

struct Options {
  u64 seed = 1;
  std::optional<u64> seeds;
  std::optional<u64> minutes;
  u64 jobs = std::max(1U, std::thread::hardware_concurrency());
  std::optional<Profile> profile;
  std::optional<std::vector<u64>> keep;
  std::string plant;
  bool seed_given = false;
  bool shrinks = true;
  bool first_only = false;
  bool verbose = false;
  bool help = false;
};

std::optional<u64> number(const std::string& text) {
  u64 value = 0;
  if (text.empty() || text.size() > 18) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<u64>(c - '0');
  }
  return value;
}

std::string dashed(std::string text) {
  for (char& c : text) c = c == ' ' ? '-' : c;
  return text;
}

std::optional<Profile> profile_named(const std::string& name) {
  for (u64 i = 0; i < profiles; ++i) {
    if (dashed(std::string(profile_name(static_cast<Profile>(i)))) == name) return static_cast<Profile>(i);
  }
  return std::nullopt;
}

/// Why it cannot be done; empty: it can.
std::string parse(int argc, char** argv, Options& out) {
  const std::map<std::string, bool Options::*> flags{{"--verbose", &Options::verbose}, {"--first", &Options::first_only}, {"--help", &Options::help}};
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (const auto flag = flags.find(option); flag != flags.end()) {
      out.*flag->second = true;
      continue;
    }
    if (option == "--no-shrink") {
      out.shrinks = false;
      continue;
    }
    static const std::map<std::string, int> takes{{"--seed", 0}, {"--seeds", 0}, {"--minutes", 0}, {"--jobs", 0}, {"--profile", 0}, {"--keep", 0}, {"--plant", 0}};
    if (takes.count(option) == 0) return fmt::format("unknown option {}", option);
    if (i + 1 >= argc) return fmt::format("{} needs a value", option);
    const std::string value = argv[++i];
    if (option == "--plant") {
      out.plant = value;
    } else if (option == "--profile") {
      out.profile = profile_named(value);
      if (!out.profile) return fmt::format("there is no profile {}", value);
    } else if (option == "--keep") {
      out.keep = parse_keep(value);
      if (!out.keep) return fmt::format("--keep {} is no list of items", value);
    } else {
      const auto given = number(value);
      if (!given) return fmt::format("{} {} is no number", option, value);
      if (option == "--seed") out.seed = *given, out.seed_given = true;
      if (option == "--seeds") out.seeds = *given;
      if (option == "--minutes") out.minutes = *given;
      if (option == "--jobs") out.jobs = *given;
    }
  }
  if (out.jobs == 0 || out.jobs > 1024) return "--jobs must be between 1 and 1024";
  return {};
}

/// Picks the planted bug. Empty: done, or none was asked for.
std::string plant_it([[maybe_unused]] const std::string& name) {
  if (name.empty()) return {};
#ifdef BRINDLE_PLANTED
  return plant(name) ? std::string() : fmt::format("there is no planted bug {}", name);
#else
  return "this build holds no planted bugs: configure one with -DBRINDLE_PLANTED=ON";
#endif
}

Options options;
u64 operations = 0;
u64 crashes = 0;
u64 seeds_played = 0;
u64 failures = 0;

std::string again(u64 seed) {
  std::string command = fmt::format("sim --seed {}", seed);
  if (options.profile) command += " --profile " + dashed(std::string(profile_name(*options.profile)));
  if (!options.plant.empty()) command += " --plant " + options.plant;
  return command;
}

void tell_failure(const Verdict& verdict) {
  ++failures;
  const History history = draw_history({.seed = verdict.seed, .profile = options.profile});
  std::printf("seed %llu (%s) failed: %s\n", static_cast<unsigned long long>(verdict.seed),
              std::string(profile_name(history.profile)).c_str(), verdict.played.failure->c_str());
  if (options.shrinks && failures <= failures_told_max) {
    const Try attempt = [](const History& shorter) -> std::optional<Failing> {
      const Verdict played = play_apart(shorter, {.seconds_max = 20});
      if (!played.played.failure) return std::nullopt;
      return Failing{*played.played.failure, played.played.failed_at};
    };
    const Shrunk shrunk = shrink(history, {*verdict.played.failure, verdict.played.failed_at}, attempt, shrink_time);
    std::printf("  the shortest history that fails too, of %llu tried:\n", static_cast<unsigned long long>(shrunk.tries));
    for (const Op& op : keep_only(history, shrunk.keep).ops) std::printf("    %s\n", text(op).c_str());
    std::printf("  %s\n  again: %s --keep %s\n", shrunk.why.c_str(), again(verdict.seed).c_str(), keep_text(shrunk.keep).c_str());
  }
  std::printf("  again, all of it: %s\n", again(verdict.seed).c_str());
  std::fflush(stdout);
}

void count(const Verdict& verdict) {
  ++seeds_played;
  operations += verdict.played.operations;
  crashes += verdict.played.crashes;
  if (verdict.played.failure) tell_failure(verdict);
}

void play_many() {
  const auto begin = Clock::now();
  const u64 last = options.seeds ? options.seed + *options.seeds : options.minutes ? ~u64{0} : options.seed + (options.seed_given ? 1 : 300);
  const auto until = begin + std::chrono::minutes(options.minutes.value_or(100'000));
  const bool shows = isatty(STDERR_FILENO) != 0 && !options.verbose;
  auto shown = begin;
  u64 next = options.seed;
  std::vector<u64> left_over;  // of children that ended with a failure
  std::vector<std::unique_ptr<Child>> running;
  for (;;) {
    while ((next < last || !left_over.empty()) && running.size() < options.jobs && Clock::now() < until &&
           !(options.first_only && failures > 0)) {
      std::vector<u64> some = std::exchange(left_over, {});
      const u64 share = std::max<u64>(1, std::min(seeds_a_child, (last - next) / options.jobs));
      while (next < last && some.size() < share) some.push_back(next++);
      running.push_back(std::make_unique<Child>(std::move(some), options.profile, ChildOptions{.verbose = options.verbose}));
    }
    if (running.empty()) break;
    std::vector<pollfd> fds;
    for (const auto& child : running) fds.push_back({child->fd(), POLLIN, 0});
    poll(fds.data(), fds.size(), 1000);
    for (size_t i = fds.size(); i-- > 0;) {
      if (fds[i].revents == 0 || running[i]->read()) continue;
      const auto ended = std::move(running[i]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      const std::vector<Verdict> verdicts = ended->take();
      for (const Verdict& verdict : verdicts) count(verdict);
      const auto rest = ended->seeds().begin() + static_cast<std::ptrdiff_t>(verdicts.size());
      left_over.insert(left_over.end(), rest, ended->seeds().end());
    }
    if (shows && Clock::now() - shown > std::chrono::seconds(1)) {
      shown = Clock::now();
      std::fprintf(stderr, "\r%llu seeds, %llu operations, %llu failures ", static_cast<unsigned long long>(seeds_played),
                   static_cast<unsigned long long>(operations), static_cast<unsigned long long>(failures));
    }
  }
  if (shows) std::fprintf(stderr, "\r%60s\r", "");
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::printf("seeds from %llu on; %.0f operations a second, %.0f a second and job\n", static_cast<unsigned long long>(options.seed),
              static_cast<double>(operations) / seconds, static_cast<double>(operations) / seconds / static_cast<double>(options.jobs));
}

}  // namespace

int main(int argc, char** argv) {
  model::keep_memory();
  std::string wrong = parse(argc, argv, options);
  if (wrong.empty()) wrong = plant_it(options.plant);
  if (!wrong.empty()) {
    std::fprintf(stderr, "sim: %s\n%s", wrong.c_str(), usage);
    return 2;
  }
  if (options.help) {
    std::fputs(usage, stdout);
    return 0;
  }
  if (options.keep) {
    const History history = keep_only(draw_history({.seed = options.seed, .profile = options.profile}), *options.keep);
    const Verdict verdict = play_apart(history, {.verbose = options.verbose});
    options.shrinks = false;
    count(verdict);
  } else {
    play_many();
  }
  std::printf("%llu operations, %llu crashes, %llu seeds, %llu failures\n", static_cast<unsigned long long>(operations),
              static_cast<unsigned long long>(crashes), static_cast<unsigned long long>(seeds_played),
              static_cast<unsigned long long>(failures));
  return failures == 0 ? 0 : 1;
}
