// canaries.cc: does the simulator find every planted bug? Runs it on each until it fails, and once on none at all.
//
// Holds:  1. A child process plays one seed of one plant; the seeds of each plant begin at the same one. So `in N seeds`
//            says how many seeds it took, with luck for none.
//         2. Only how the child ends counts: it exits with 1, is ended by a signal, or does not end at all.
//         3. A seed that found something is played again with nothing planted. It must then be clean, or it has found
//            nothing.
// Caller: `./dev sim --canaries`. Only a build with -DBRINDLE_PLANTED=ON has it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/planted.h"

namespace {

using namespace brindle;
using Clock = std::chrono::steady_clock;

/// The detector: a command that plays one seed and exits with 1 when it fails. The planted bug comes with the environment,
/// so that any program of this build will do.
std::vector<std::string> detector(const std::string& folder, std::string_view profile, u64 seed) {
  std::vector<std::string> words{folder + "/sim", "--jobs", "1",      "--no-shrink",
                                 "--seeds",       "1",      "--seed", std::to_string(seed)};
  if (!profile.empty()) words.insert(words.end(), {"--profile", std::string(profile)});
  return words;
}

/// Where to look for what only one kind of trouble can show. The others are looked for in whatever each seed draws.
struct Where {
  Plant plant;
  std::string_view profile;
};
constexpr Where where[] = {
    {Plant::flush_error_ignored, "errors"},
    {Plant::write_error_ignored, "errors"},
    {Plant::flush_error_forgotten, "errors"},
    {Plant::any_order, "errors"},
    {Plant::batch_unchecked, "damage"},
    {Plant::page_unchecked, "damage"},
    {Plant::table_unchecked, "damage"},
    {Plant::block_unchecked, "damage"},
    {Plant::no_rescan, "many-lanes"},
    {Plant::no_rescan_dying, "deletions"},
    {Plant::no_grandchild, "errors"},
    {Plant::cursor_outside, "deletions"},
    {Plant::collapse_two, "deletions"},
    {Plant::rollback_size, "deletions"},
    {Plant::shrink_keeps, "deletions"},
    {Plant::rollback_free, "deletions"},
    {Plant::bitmap_ignored, "deletions"},
    {Plant::no_bitmap, "deletions"},
    {Plant::bitmap_unsaved, "deletions"},
    {Plant::reuse_at_once, "nearly-full"},
    {Plant::reuse_at_seal, "full-host"},
    {Plant::readers_ignored, "full-host"},
    {Plant::source_freed, "nearly-full"},
    {Plant::compact_young, "nearly-full"},
    {Plant::log_freed, "full-host"},
    {Plant::holes_unsettled, "nearly-full"},
    {Plant::no_reserve, "nearly-full"},
    {Plant::debt_kept, "many-lanes"},
    {Plant::debt_dropped, "errors"},
    {Plant::debts_unsaved, "errors"},
    {Plant::flush_covers_more, "many-lanes"},
    {Plant::write_past_end, "many-lanes"},
    {Plant::read_in_pieces, "many-lanes"},
    {Plant::successor_unnamed, "full-host"},
    {Plant::checkpoint_first, "plain"},
    {Plant::successor_unasked, "full-host"},
    {Plant::part_error_hidden, "nearly-full"},
    {Plant::flush_error_elsewhere, "errors"},
    {Plant::cursor_forgotten, "deletions"},
    {Plant::lost_write, "many-lanes"},
    {Plant::wide_shared, "aging"},
    {Plant::summary_ahead, "full-host"},
    {Plant::tidy_race, "many-lanes"},
    {Plant::staged_unseen, "many-lanes"},
};

std::string_view profile_of(Plant plant) {
  const auto at =
      std::find_if(std::begin(where), std::end(where), [&](const Where& one) { return one.plant == plant; });
  return at == std::end(where) ? std::string_view() : at->profile;
}

// A seed takes a fraction of a second: one that works so much longer will never end, nor will one that waits so long. (By
// the clock on the wall alone a busy machine would look like a bug.)
constexpr rlim_t busy_seconds_max = 20;
constexpr auto hang_after = std::chrono::seconds(300);
constexpr size_t output_max = 64 * KiB;  // of a child, from its front

struct Options {
  u64 seed = 1;
  u64 seeds = 600;       // for each plant, until it counts as missed
  u64 clean_seeds = 16;  // without any, first
  u64 jobs = std::max(1U, std::thread::hardware_concurrency());
  bool list = false;
  std::string plant;  // only this one
};

struct Canary {
  std::string name;  // empty: none is planted
  std::string_view profile;
  u64 first = 1;  // seed
  u64 tried = 0;
  bool found = false;
  u64 found_in = 0;  // seeds that it took
  std::string by;
  double seconds = 0;  // that its children kept a core busy
};

struct Child {
  Canary* canary;
  u64 number;  // of its canary's, from 1 on
  pid_t pid = -1;
  int output = -1;
  Clock::time_point began;
  std::string said;
};

/// What the simulator says of a failure, and what kind of oracle that was.
std::string told_by(const std::string& said, int status, bool hung) {
  struct Kind {
    std::string_view mark;
    std::string_view oracle;
  };
  static constexpr Kind kinds[] = {
      {"a promise of the program to itself is broken: ", "CHECK"},
      {"the verifier", "verifier"},
      {"blocks are live", "account"},
      {"bytes are used", "account"},
      {"being reclaimed", "account"},
      {"would free", "account"},
      {"batches are lost", "durability"},
      {"is replayed", "durability"},
      {"it hangs", "hang"},
      {"nothing will ever wake it", "hang"},
  };
  constexpr size_t shown_max = 90;
  if (hung) return "hang: it does not end";
  const std::string_view before = " failed: ";
  const size_t at = said.find(before);
  if (at == std::string::npos) {
    return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                               : fmt::format("exit {}", WEXITSTATUS(status));
  }
  std::string line = said.substr(at + before.size(), said.find('\n', at) - at - before.size());
  std::string_view oracle = "model";
  for (const Kind& kind : kinds) {
    const size_t mark = line.find(kind.mark);
    if (mark == std::string::npos) continue;
    oracle = kind.oracle;
    if (oracle == "CHECK") line = line.substr(mark + kind.mark.size());
    break;
  }
  if (line.size() > shown_max) line = line.substr(0, shown_max - 3) + "...";
  return fmt::format("{}: {}", oracle, line);
}

class Runner {
 public:
  Runner(Options options, std::string folder) : options_(std::move(options)), folder_(std::move(folder)) {}

  /// Plays until each canary was found or had its seeds. `seeds` of each.
  void run(std::vector<Canary>& canaries, u64 seeds) {
    std::deque<Canary*> due;  // round and round, so that the hard ones take turns
    for (Canary& canary : canaries) due.push_back(&canary);
    while (!due.empty() || !children_.empty()) {
      while (!due.empty() && children_.size() < options_.jobs) {
        Canary& canary = *due.front();
        due.pop_front();
        if (canary.found || canary.tried == seeds) continue;
        start(canary);
        due.push_back(&canary);
      }
      if (children_.empty()) continue;
      wait();
    }
  }

 private:
  void start(Canary& canary) {
    Child child{&canary, ++canary.tried, -1, -1, Clock::now(), {}};
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC) != 0) fail("pipe2");
    std::vector<std::string> words = detector(folder_, canary.profile, canary.first + child.number - 1);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    child.pid = fork();
    if (child.pid < 0) fail("fork");
    if (child.pid == 0) {
      setpgid(0, 0);  // a child of the child ends with it
      dup2(pipe_ends[1], STDOUT_FILENO);
      dup2(pipe_ends[1], STDERR_FILENO);
      const rlimit busy{busy_seconds_max, busy_seconds_max};
      setrlimit(RLIMIT_CPU, &busy);
      setenv("BRINDLE_PLANT", canary.name.c_str(), 1);
      execv(arguments[0], arguments.data());
      std::fprintf(stderr, "%s: %s\n", arguments[0], std::strerror(errno));
      _exit(127);
    }
    close(pipe_ends[1]);
    child.output = pipe_ends[0];
    children_.push_back(std::move(child));
  }

  /// Reads what the children say until one of them has ended.
  void wait() {
    for (;;) {
      std::vector<pollfd> polled;
      for (const Child& child : children_) polled.push_back({child.output, POLLIN, 0});
      poll(polled.data(), polled.size(), 1000);
      size_t at = 0;
      for (auto child = children_.begin(); child != children_.end(); ++child, ++at) {
        if (polled[at].revents != 0) {
          char bytes[4096];
          const ssize_t got = read(child->output, bytes, sizeof bytes);
          if (got > 0) {
            if (child->said.size() < output_max) child->said.append(bytes, static_cast<size_t>(got));
            continue;
          }
          end(*child, false);
          children_.erase(child);
          return;
        }
        if (Clock::now() - child->began > hang_after) {
          kill(-child->pid, SIGKILL);
          end(*child, true);
          children_.erase(child);
          return;
        }
      }
    }
  }

  void end(Child& child, bool hung) {
    int status = 0;
    rusage used{};
    wait4(child.pid, &status, 0, &used);
    close(child.output);
    Canary& canary = *child.canary;
    for (const timeval& time : {used.ru_utime, used.ru_stime}) {
      canary.seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 1) {
      std::fprintf(stderr, "%s", child.said.c_str());
      fail("the detector does not run");
    }
    // With several jobs a later seed of the same canary may end first.
    if (canary.found && canary.found_in < child.number) return;
    canary.found = true;
    canary.found_in = child.number;
    canary.by = told_by(child.said, status, hung);
  }

  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "canaries: %s\n", what);
    std::exit(2);
  }

  Options options_;
  std::string folder_;
  std::list<Child> children_;
};

bool parse(int argc, char** argv, Options& out) {
  const std::map<std::string_view, u64*> numbers{
      {"--seed", &out.seed}, {"--seeds", &out.seeds}, {"--clean", &out.clean_seeds}, {"--jobs", &out.jobs}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--list") {
      out.list = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::string_view value = argv[++i];
    if (word == "--plant") {
      out.plant = value;
      if (!plant(value)) return false;
      continue;
    }
    const auto number = numbers.find(word);
    if (number == numbers.end()) return false;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *number->second);
    if (error != std::errc() || end != value.data() + value.size()) return false;
  }
  return out.jobs > 0 && out.seeds > 0;
}

/// Nothing was planted, so nothing may be found.
bool clean(const std::vector<Canary>& controls) {
  bool is_clean = true;
  for (const Canary& control : controls) {
    if (!control.found) continue;
    is_clean = false;
    fmt::print("with nothing planted, seed {} {} fails all the same: {}\n", control.first + control.found_in - 1,
               control.profile, control.by);
  }
  return is_clean;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: canaries [--seed S] [--seeds N] [--clean N] [--jobs N] [--plant NAME] [--list]\n"
                 "  plays up to N seeds from S on (%llu) for each planted bug; --clean: so many without any, first\n",
                 static_cast<unsigned long long>(Options().seeds));
    return 2;
  }
  if (options.list) {
    for (const PlantInfo& info : plants()) fmt::print("{:22} {}\n", info.name, info.what);
    return 0;
  }
  const std::string self = argv[0];
  const size_t slash = self.rfind('/');
  Runner runner(options, slash == std::string::npos ? "." : self.substr(0, slash));
  const auto began = Clock::now();

  std::vector<Canary> none(1, Canary{.first = options.seed});
  runner.run(none, options.clean_seeds);
  if (!clean(none)) return 1;
  fmt::print("{:22} clean in {} seeds\n", "(none)", options.clean_seeds);
  std::fflush(stdout);

  std::vector<Canary> canaries;
  for (const PlantInfo& info : plants()) {
    if (!options.plant.empty() && options.plant != info.name) continue;
    canaries.push_back({.name = std::string(info.name), .profile = profile_of(info.plant), .first = options.seed});
  }
  runner.run(canaries, options.seeds);
  std::vector<Canary> again;
  std::set<std::pair<std::string_view, u64>> played;
  for (const Canary& canary : canaries) {
    const u64 seed = canary.first + canary.found_in - 1;
    const bool known = canary.profile.empty() && canary.found_in <= options.clean_seeds;
    if (!canary.found || known || !played.emplace(canary.profile, seed).second) continue;
    again.push_back({.profile = canary.profile, .first = seed});
  }
  runner.run(again, 1);
  for (const Canary& control : again) {
    if (!control.found) continue;
    // It tells nothing of what was planted.
    for (Canary& canary : canaries) {
      const bool same = canary.profile == control.profile && canary.first + canary.found_in - 1 == control.first;
      if (canary.found && same) canary.found = false;
    }
  }
  u64 found = 0;
  for (const Canary& canary : canaries) {
    found += canary.found ? 1 : 0;
    if (canary.found) {
      fmt::print("{:22} {:11} in {:3} seeds {:5.1f} s  {}\n", canary.name, canary.profile, canary.found_in,
                 canary.seconds, canary.by);
    } else {
      fmt::print("{:22} {:11} MISSED in {} seeds, {:.1f} s\n", canary.name, canary.profile, canary.tried,
                 canary.seconds);
    }
  }
  const bool sound = clean(again);
  fmt::print("{:.1f} s\n", std::chrono::duration<double>(Clock::now() - began).count());
  fmt::print("{} planted, {} found\n", canaries.size(), found);
  return sound && found == canaries.size() ? 0 : 1;
}
