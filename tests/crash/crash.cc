// crash.cc: every short workload, every crash in it, every disk that such a crash may leave.
//
// Workloads are shared out to processes, so that an engine that ends its process (CHECK) costs that workload alone.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "crash/explorer.h"
#include "model/memory.h"
#ifdef BRINDLE_PLANTED
#include "base/planted.h"
#endif

namespace {

using namespace brindle;
using namespace brindle::crash;

struct Arguments {
  u64 length = 2;
  u64 jobs = std::max(1u, std::thread::hardware_concurrency());
  std::optional<std::vector<const Operation*>> workload;
  Options options;
};

void usage(FILE* to) {
  std::fputs(
      "usage: crash [--length N] [--jobs N] [--sample 1/N] [--again 1/N] [--workload OP,OP,… [--state STATE]] [--plant NAME]\n"
      "\n"
      "Plays every workload of up to N operations (2) on a small pool, and opens every disk that a crash may leave.\n"
      "\n"
      "  --length N       operations in a workload, at most\n"
      "  --jobs N         processes (the cores)\n"
      "  --sample 1/N     of the states, the part that is used, emptied and counted too (1/16)\n"
      "  --again 1/N      of the states, the part whose recovery is crashed as well, everywhere (1/32)\n"
      "  --workload …     this one only, crashes in its last operation; empty: crashes while the pool is opened\n"
      "  --state STATE    this state only, as a failure names it\n"
      "  --plant NAME     with this planted bug (in a build that has them)\n"
      "\n"
      "The last line is: N workloads, N states, N distinct states, N failures. It exits 1 when something failed.\n"
      "\n"
      "Operations:\n",
      to);
  for (const Operation& operation : alphabet()) std::fprintf(to, "  %-16s %s\n", operation.name, operation.what);
}

[[noreturn]] void wrong(const std::string& why) {
  std::fprintf(stderr, "crash: %s (crash --help lists what there is)\n", why.c_str());
  std::exit(2);
}

u64 number(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const u64 value = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0') wrong(fmt::format("{} wants a number, not '{}'", option, text));
  return value;
}

u64 one_in(const std::string& option, const std::string& text) {
  return number(option, text.compare(0, 2, "1/") == 0 ? text.substr(2) : text);
}

std::vector<const Operation*> parse_workload(const std::string& text) {
  std::vector<const Operation*> operations;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string name = text.substr(at, end - at);
    const Operation* const operation = find_operation(name);
    if (operation == nullptr) wrong(fmt::format("no operation is called '{}'", name));
    operations.push_back(operation);
    at = end + 1;
  }
  return operations;
}

void plant_bug(const std::string& name) {
#ifdef BRINDLE_PLANTED
  if (!brindle::plant(name)) wrong(fmt::format("no planted bug is called '{}'", name));
#else
  wrong(fmt::format("this build has no planted bugs, so none called '{}': configure with -DBRINDLE_PLANTED=ON", name));
#endif
}

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--help" || option == "-h") {
      usage(stdout);
      std::exit(0);
    }
    if (i + 1 == argc) wrong(fmt::format("{}: unknown, or it wants a value", option));
    const std::string value = argv[++i];
    if (option == "--length") {
      out.length = number(option, value);
    } else if (option == "--jobs") {
      out.jobs = std::max<u64>(1, number(option, value));
    } else if (option == "--sample") {
      out.options.thorough_one_in = one_in(option, value);
    } else if (option == "--again") {
      out.options.again_one_in = one_in(option, value);
    } else if (option == "--workload") {
      out.workload = parse_workload(value);
    } else if (option == "--state") {
      out.options.only = value;
    } else if (option == "--plant") {
      plant_bug(value);
    } else {
      wrong(fmt::format("unknown option {}", option));
    }
    if (option == "--sample" || option == "--again" || option == "--plant") {
      out.options.repeat += fmt::format(" {} {}", option, value);
    }
  }
  if (!out.options.only.empty() && !out.workload) wrong("--state goes with --workload");
  return out;
}

/// The workload with that number, shorter ones first; nothing behind the last.
std::optional<std::vector<const Operation*>> workload_of(u64 index, u64 length_max) {
  const auto letters = alphabet();
  u64 count = 1;
  for (u64 length = 0; length <= length_max; ++length, count *= letters.size()) {
    if (index >= count) {
      index -= count;
      continue;
    }
    std::vector<const Operation*> operations(length);
    for (auto at = operations.rbegin(); at != operations.rend(); ++at, index /= letters.size()) {
      *at = &letters[index % letters.size()];
    }
    return operations;
  }
  return std::nullopt;
}

void tell_death(int signal) {
  static constexpr char text[] = "FAILED: the process died at ";
  static_cast<void>(!write(STDERR_FILENO, text, sizeof text - 1));
  static_cast<void>(!write(STDERR_FILENO, under_way, std::strlen(under_way)));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void work(const Arguments& arguments, const Start& start, Seen& seen, Tally& tally) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, tell_death);
  Explorer explorer(start, seen, tally, arguments.options);
  while (tally.failures < Explorer::failures_max) {
    const u64 index = tally.next++;
    const auto operations = arguments.workload ? index == 0 ? arguments.workload : std::nullopt
                                               : workload_of(index, arguments.length);
    if (!operations) return;
    explorer.explore(*operations);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  model::keep_memory();
  const auto began = std::chrono::steady_clock::now();
  void* const shared = mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  Tally& tally = *new (shared) Tally();
  Seen seen;
  const Start start;
  const u64 jobs = arguments.workload ? 1 : arguments.jobs;
  std::set<pid_t> running;
  auto told = began;
  for (u64 started = 0; started < jobs || !running.empty();) {
    if (started < jobs) {
      const pid_t child = fork();
      if (child == 0) {
        work(arguments, start, seen, tally);
        std::fflush(nullptr);
        _exit(0);
      }
      CHECK(child > 0);
      running.insert(child);
      ++started;
      continue;
    }
    int status = 0;
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      const auto now = std::chrono::steady_clock::now();
      if (now - told < std::chrono::minutes(1)) continue;
      told = now;
      fmt::print("… {} workloads, {} distinct states so far\n", tally.workloads.load(), tally.distinct.load());
      std::fflush(stdout);
      continue;
    }
    running.erase(ended);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    // Another goes on with the workloads that are left.
    if (++tally.failures < Explorer::failures_max && !arguments.workload) --started;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("alphabet of {}, {} workloads make no sense; {} states used and emptied, {} crashed again while recovering, "
             "{} points bounded; {:.1f} s\n",
             alphabet().size(), tally.left_out.load(), tally.thorough.load(), tally.again.load(), tally.bounded.load(), seconds);
  fmt::print("{} workloads, {} states, {} distinct states, {} failures\n", tally.workloads.load(), tally.states.load(),
             tally.distinct.load(), tally.failures.load());
  return tally.failures == 0 ? 0 : 1;
}
