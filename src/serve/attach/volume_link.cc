#include "serve/attach/volume_link.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>

#include <fmt/format.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace brindle::attach {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds retry_min{50}, retry_max{1000};
constexpr int patience_ms = 2000;          // for the daemon's answers while connecting
constexpr milliseconds gone_after{3000};

}  // namespace

Result<NbdConnection> VolumeLink::connect() {
  auto found = find_(uuid_, name_);
  if (!found) return found.error();
  auto connection = nbd_connect(nbd_socket_, found->name, replies_, patience_ms);
  if (!connection) {
    // Renamed or deleted between the question and the connection: that is for the next attempt to find out.
    return Error{connection.code() == Code::not_found ? Code::stopping : connection.code(), connection.error().message};
  }
  // The name may have gone to another volume just before the connection was made.
  auto again = find_(uuid_, found->name);
  if (!again) return again.error();
  if (again->name != found->name) return Error{Code::stopping, "the volume was renamed just now"};
  if (!read_only_ && connection->read_only()) return Error{Code::read_only, "the daemon serves it read-only"};
  if (name_ != found->name) log_line(fmt::format("{} is called {} now", name_, found->name));
  name_ = found->name;
  return connection;
}

Result<u64> VolumeLink::ask_size() {
  const auto found = find_(uuid_, name_);
  if (!found) return found.error();
  name_ = found->name;
  return found->size;
}

void VolumeLink::lost() {
  retry_after_ = retry_min;
  retry_at_ = Clock::now() + retry_after_;
}

int VolumeLink::wait_ms() const {
  const auto left = std::chrono::ceil<milliseconds>(retry_at_ - Clock::now());
  return static_cast<int>(std::max<milliseconds::rep>(left.count(), 0));
}

void VolumeLink::tried(const Status& status) {
  if (status) {
    gone_ = false;
    missing_since_.reset();
    retry_after_ = retry_min;
    return;
  }
  const bool was_gone = gone_;
  if (status.code() != Code::not_found) missing_since_.reset();
  if (status.code() == Code::not_found && !missing_since_) missing_since_ = Clock::now();
  gone_ = missing_since_ && Clock::now() - *missing_since_ >= gone_after;
  if (gone_ && !was_gone) log_line(fmt::format("{}: I/O fails from now on", status.error().message));
  retry_after_ = std::clamp(retry_after_ * 2, retry_min, retry_max);
  retry_at_ = Clock::now() + retry_after_;
}

void log_line(const std::string& line) {
  char stamp[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
  fmt::print(stderr, "{} {}\n", stamp, line);
}

Result<Fd> become_disk(std::initializer_list<int> signals) {
  // Both need privileges, and go without.
  ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  std::ofstream("/proc/self/oom_score_adj") << "-1000";

  sigset_t set;
  sigemptyset(&set);
  for (int signal : signals) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Fd out(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out.ok()) return Error{Code::io, fmt::format("no signalfd: {}", std::strerror(errno))};
  return out;
}

}  // namespace brindle::attach
