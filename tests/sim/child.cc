#include "sim/child.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sstream>

#include <fmt/format.h>

// In a build that measures coverage: what a child reached would go with it.
extern "C" int __llvm_profile_write_file() __attribute__((weak));

namespace brindle::sim {

namespace {

void say(int to, const std::string& line) {
  for (size_t done = 0; done < line.size();) {
    const ssize_t wrote = write(to, line.data() + done, line.size() - done);
    if (wrote <= 0) _exit(3);
    done += static_cast<size_t>(wrote);
  }
}

/// The process ends when it has computed for so long since: however busy the machine is, only what hangs does that.
void limit(unsigned seconds) {
  const itimerval timer{{0, 0}, {static_cast<time_t>(seconds), 0}};
  setitimer(ITIMER_PROF, &timer, nullptr);
}

/// One line a history: what it came to.
void tell(int to, u64 seed, const Played& played) {
  std::string failure = played.failure.value_or("");
  for (char& c : failure) c = c == '\n' ? ' ' : c;
  say(to, fmt::format("{} {} {} {} {} {} {}\n", seed, played.operations, played.crashes, played.trace, played.failed_at,
                      played.failure ? 1 : 0, failure));
}

}  // namespace

template <class Body>
void Child::start(Body body, const ChildOptions& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) check_failed("pipe2", __FILE__, __LINE__, std::strerror(errno));
  errors_ = options.verbose ? -1 : memfd_create("stderr", MFD_CLOEXEC);
  std::fflush(nullptr);
  pid_ = fork();
  if (pid_ < 0) check_failed("fork", __FILE__, __LINE__, std::strerror(errno));
  if (pid_ == 0) {
    close(ends[0]);
    if (errors_ >= 0) dup2(errors_, STDERR_FILENO);
    body(ends[1]);
    std::fflush(nullptr);
    if (__llvm_profile_write_file != nullptr) __llvm_profile_write_file();
    _exit(0);
  }
  close(ends[1]);
  from_ = ends[0];
}

Child::Child(std::vector<u64> seeds, std::optional<Profile> profile, const ChildOptions& options) : seeds_(std::move(seeds)) {
  const auto body = [&](int to) {
    for (const u64 seed : seeds_) {
      limit(options.seconds_max);
      Player player(draw_history({.seed = seed, .profile = profile}), options.verbose);
      const Played played = player.play();
      tell(to, seed, played);
      if (played.failure) return;
    }
  };
  start(body, options);
}

Child::Child(const History& history, const ChildOptions& options) : seeds_{history.seed} {
  const auto body = [&](int to) {
    limit(options.seconds_max);
    Player player(history, options.verbose);
    tell(to, history.seed, player.play());
  };
  start(body, options);
}

Child::Child(Child&& other) noexcept
    : seeds_(std::move(other.seeds_)),
      pid_(std::exchange(other.pid_, 0)),
      from_(std::exchange(other.from_, -1)),
      errors_(std::exchange(other.errors_, -1)),
      said_(std::move(other.said_)) {}

Child::~Child() {
  if (from_ >= 0) close(from_);
  if (errors_ >= 0) close(errors_);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

bool Child::read() {
  char bytes[4096];
  ssize_t got = 0;
  do {
    got = ::read(from_, bytes, sizeof bytes);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return false;
  said_.append(bytes, static_cast<size_t>(got));
  return true;
}

/// The end of what the child wrote to its stderr: which promise it broke.
std::string Child::last_words() {
  if (errors_ < 0) return {};
  constexpr off_t size_max = 4096;
  const off_t size = lseek(errors_, 0, SEEK_END);
  std::string words(static_cast<size_t>(std::min(size, size_max)), '\0');
  const ssize_t got = pread(errors_, words.data(), words.size(), 0);
  words.resize(got > 0 ? static_cast<size_t>(got) : 0);
  while (!words.empty() && words.back() == '\n') words.pop_back();
  return words;
}

std::vector<Verdict> Child::take() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  std::vector<Verdict> out;
  std::istringstream lines(said_);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Verdict verdict;
    int failed = 0;
    words >> verdict.seed >> verdict.played.operations >> verdict.played.crashes >> verdict.played.trace >> verdict.played.failed_at >> failed;
    if (failed != 0) {
      std::string why;
      std::getline(words >> std::ws, why);
      verdict.played.failure = why;
    }
    out.push_back(std::move(verdict));
  }
  const bool failed = !out.empty() && out.back().played.failure.has_value();
  if (out.size() < seeds_.size() && !failed) {
    Verdict verdict{.seed = seeds_[out.size()]};
    std::string how = "the child ended early";
    if (WIFSIGNALED(status)) how = WTERMSIG(status) == SIGPROF ? "it hangs" : fmt::format("ended by signal {}", WTERMSIG(status));
    const std::string words = last_words();
    verdict.played.failure = words.empty() ? how : how + ": " + words;
    verdict.played.failed_at = ~u64{0};
    out.push_back(std::move(verdict));
  }
  return out;
}

Verdict play_apart(const History& history, const ChildOptions& options) {
  Child child(history, options);
  while (child.read()) continue;
  return child.take().front();
}

}  // namespace brindle::sim
