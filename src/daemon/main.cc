// main.cc: brindled. Starts the daemon, says so, and waits for the signal that ends it.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/version.h"

namespace brindle::daemon {

namespace {

constexpr int exit_refused = 1;
constexpr int exit_usage = 2;

int fail(int code, const std::string& message) {
  fmt::print(stderr, "brindled: {}\n", message);
  return code;
}

void set_up_process() {
  umask(0007);
  std::signal(SIGPIPE, SIG_IGN);
  // Huge pages would make the bound on memory a matter of luck.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  // The kernel may write to a local disk of ours to get memory back: what we need for that must not wait for just this. Only root may ask.
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

void set_up_log(const std::string& level) {
  auto log = spdlog::stderr_logger_mt("brindled");
  log->set_level(spdlog::level::from_str(level));
  // The journal notes the time itself.
  log->set_pattern(std::getenv("JOURNAL_STREAM") != nullptr ? "%l %v" : "%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  log->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(log);
}

/// The signals that end the daemon; blocked, so that only `sigwait` sees them, in every thread that is made from here on.
sigset_t block_signals() {
  sigset_t ending;
  sigemptyset(&ending);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ending, signal);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  return ending;
}

/// From here on a signal ends the process at once, as kill -9 would: nothing acknowledged is lost.
void unblock_signals(const sigset_t& ending) { pthread_sigmask(SIG_UNBLOCK, &ending, nullptr); }

int run(int argc, char** argv) {
  const Parsed parsed = parse_options(argc, argv);
  if (parsed.kind == Parsed::Kind::usage_error) return fail(exit_usage, parsed.text);
  if (parsed.kind == Parsed::Kind::print) {
    fmt::print("{}", parsed.text);
    return EXIT_SUCCESS;
  }
  set_up_process();
  set_up_log(parsed.options.log_level);
  const sigset_t ending = block_signals();
  auto daemon = Daemon::start(parsed.options);
  if (!daemon) return fail(exit_refused, daemon.error().message);

  const std::string ready = (*daemon)->ready_line();
  fmt::print("{}\n", ready);
  std::fflush(stdout);
  notify("READY=1\nSTATUS=" + ready);
  int signal = 0;
  sigwait(&ending, &signal);
  spdlog::info("signal {}: ending", signal);
  notify("STOPPING=1\nSTATUS=ending");
  unblock_signals(ending);
  if (const Status status = (*daemon)->stop(); !status) return fail(exit_refused, "stopping: " + status.error().message);
  spdlog::info("ended");
  return EXIT_SUCCESS;
}

}  // namespace

}  // namespace brindle::daemon

int main(int argc, char** argv) {
  try {
    return brindle::daemon::run(argc, argv);
  } catch (const std::exception& error) {
    // Memory that is not to be had, threads that cannot be made: the pool is as it is after a kill.
    fmt::print(stderr, "brindled: {}: it cannot go on, start it again\n", error.what());
    return EXIT_FAILURE;
  }
}
