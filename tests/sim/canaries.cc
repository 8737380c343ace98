// canaries.cc: does the simulator find every planted bug? Runs it on each until it fails, and once on none at all.
//
// Holds:  1. A child process plays one seed of one plant; the seeds of each plant begin at the same one. So `in N seeds`
//            says how many seeds it took, with luck for none.
//         2. Only how the child ends counts: it exits with 1, is ended by a signal, or does not end at all.
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
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/planted.h"

namespace {

using namespace brindle;
using Clock = std::chrono::steady_clock;

/// The detector: a command that plays `seeds` seeds from `seed` on, and exits with something else than 0 when one of them
/// fails. The planted bug comes with the environment, so that any program of this build will do.
std::vector<std::string> detector(const std::string& folder, u64 seed, u64 seeds) {
  return {folder + "/sim", "--jobs", "1", "--no-shrink", "--seed", std::to_string(seed), "--seeds", std::to_string(seeds)};
}

// A seed takes a fraction of a second; one that takes so much longer will never end.
constexpr auto hang_after = std::chrono::seconds(30);
constexpr size_t output_max = 64 * KiB;  // of a child, from its front

struct Options {
  u64 seed = 1;
  u64 seeds = 100;       // for each plant, until it counts as missed
  u64 clean_seeds = 30;  // without any
  u64 jobs = std::max(1U, std::thread::hardware_concurrency());
  bool list = false;
  std::string plant;  // only this one
};

struct Canary {
  std::string name;  // empty: none is planted
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

/// The first line that tells what was seen, and what kind of oracle that was.
std::string told_by(const std::string& said, int status, bool hung) {
  struct Kind {
    std::string_view mark;
    std::string_view oracle;
  };
  // In the order of their authority: a broken promise of the program to itself ends it before anybody else can look.
  static constexpr Kind kinds[] = {
      {"a promise of the program to itself is broken: ", "CHECK"},
      {"the verifier: ", "verifier"},
      {"an acknowledged write is lost", "model"},
      {"a write is torn", "model"},
      {"no state that it ever had", "prefix"},
      {"blocks that are live", "account"},
      {"blocks are left", "account"},
      {"reclaiming", "account"},
      {"what deleting would free", "account"},
      {"everything waits", "hang"},
      {"Failure\n", "model"},
  };
  if (hung) return "hang";
  for (const Kind& kind : kinds) {
    const size_t at = said.find(kind.mark);
    if (at == std::string::npos) continue;
    const bool behind = kind.mark.ends_with('\n') || kind.mark.ends_with(": ");
    const size_t from = behind ? at + kind.mark.size() : at;
    std::string line = said.substr(from, said.find('\n', from) - from);
    if (line.size() > 70) line = line.substr(0, 67) + "...";
    return fmt::format("{}: {}", kind.oracle, line);
  }
  if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
  return fmt::format("exit {}", WEXITSTATUS(status));
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
    std::vector<std::string> words = detector(folder_, options_.seed + child.number - 1, 1);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    child.pid = fork();
    if (child.pid < 0) fail("fork");
    if (child.pid == 0) {
      setpgid(0, 0);  // a child of the child ends with it
      dup2(pipe_ends[1], STDOUT_FILENO);
      dup2(pipe_ends[1], STDERR_FILENO);
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

  std::vector<Canary> none(1);
  runner.run(none, options.clean_seeds);
  if (none.front().found) {
    fmt::print("with nothing planted, seed {} fails all the same: {}\n", options.seed + none.front().found_in - 1,
               none.front().by);
    return 1;
  }
  fmt::print("{:22} clean in {} seeds\n", "(none)", options.clean_seeds);
  std::fflush(stdout);

  std::vector<Canary> canaries;
  for (const PlantInfo& info : plants()) {
    if (options.plant.empty() || options.plant == info.name) canaries.push_back({.name = std::string(info.name)});
  }
  runner.run(canaries, options.seeds);
  u64 found = 0;
  for (const Canary& canary : canaries) {
    found += canary.found ? 1 : 0;
    if (canary.found) {
      fmt::print("{:22} in {:3} seeds {:5.1f} s  {}\n", canary.name, canary.found_in, canary.seconds, canary.by);
    } else {
      fmt::print("{:22} MISSED in {} seeds, {:.1f} s\n", canary.name, canary.tried, canary.seconds);
    }
  }
  fmt::print("{:.1f} s\n", std::chrono::duration<double>(Clock::now() - began).count());
  fmt::print("{} planted, {} found\n", canaries.size(), found);
  return found == canaries.size() ? 0 : 1;
}
