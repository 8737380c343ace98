#include "serve/attach/server.h"

#include <malloc.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <optional>

#include <fmt/format.h>

#include "serve/attach/nbd_client.h"
#include "serve/attach/served_file.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace brindle::attach {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds retry_min{50}, retry_max{1000};
constexpr int patience_ms = 2000;          // for the daemon's answers while connecting
constexpr milliseconds gone_after{3000};
constexpr unsigned signals_every = 1024;   // turns
constexpr int buffers_stay = 4 * MiB;      // smaller ones are reused from the heap, not mapped anew each time

void log(const std::string& line) {
  char stamp[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
  fmt::print(stderr, "{} {}\n", stamp, line);
}

/// What is written at the end, behind all else.
class LastFlush final : public Command {
 public:
  explicit LastFlush(bool& done) : Command(Type::flush, 0, 0), done_(done) {}
  void finish(int error) override {
    if (error != 0) log(fmt::format("the last flush failed: {}", std::strerror(error)));
    done_ = true;
  }

 private:
  bool& done_;
};

class Server {
 public:
  Server(const ServeOptions& options, const FindVolume& find) : options_(options), find_(find), name_(options.name) {}

  Status start();
  void run();

 private:
  Status connect();
  void connection_lost(const Error& error);
  void try_again();
  bool turn();
  void sleep();
  void take_signals();
  void ask_size();
  void size_is(u64 bytes);
  bool finished();
  void note();

  const ServeOptions& options_;
  const FindVolume& find_;
  std::string name_;
  Fd alive_;
  Fd signals_;
  NbdClient client_;
  std::unique_ptr<ServedFile> file_;
  Clock::time_point retry_at_{};
  milliseconds retry_after_ = retry_min;
  std::optional<Clock::time_point> missing_since_;
  bool gone_ = false;      // the daemon says that there is no such volume any more
  bool ending_ = false;
  bool last_flush_sent_ = false, last_flush_done_ = false;
};

Status Server::start() {
  auto alive = options_.place.hold_alive();
  if (!alive) return alive.error();
  alive_ = std::move(*alive);

  // Memory that this process needs must not wait for writes that it serves itself; and it is a disk: not what is to be
  // killed when memory runs out. Both need privileges, and go without.
  ::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  std::ofstream("/proc/self/oom_score_adj") << "-1000";
  ::mallopt(M_MMAP_THRESHOLD, buffers_stay);
  ::mallopt(M_TRIM_THRESHOLD, buffers_stay);

  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.ok()) return Error{Code::io, fmt::format("no signalfd: {}", std::strerror(errno))};

  if (auto status = connect(); !status) return status;
  std::unique_ptr<Overlay> overlay;
  if (options_.overlay) {
    auto opened = Overlay::open(options_.place.folder());
    if (!opened) return opened.error();
    overlay = std::move(*opened);
  }
  ServedFileOptions file;
  file.folder = options_.place.disk();
  file.file_name = options_.file_name;
  file.label = "brindle:" + name_;
  file.read_only = options_.read_only && !options_.overlay;
  auto mounted = ServedFile::mount(file, client_, std::move(overlay));
  if (!mounted) return mounted.error();
  file_ = std::move(*mounted);
  file_->set_size(client_.connection().size);
  log(fmt::format("serves {} ({} bytes{})", name_, file_->size(), options_.read_only ? ", read-only" : ""));
  note();
  return {};
}

/// Finds the volume by its uuid and connects to it. Fails: not_found, stopping, invalid.
Status Server::connect() {
  auto found = find_(options_.place.uuid(), name_);
  if (!found) return found.error();
  auto connection = nbd_connect(options_.nbd_socket, found->name, patience_ms);
  if (!connection) {
    // Renamed or deleted between the question and the connection: that is for the next attempt to find out.
    return Error{connection.code() == Code::not_found ? Code::stopping : connection.code(), connection.error().message};
  }
  // The name may have gone to another volume just before the connection was made.
  auto again = find_(options_.place.uuid(), found->name);
  if (!again) return again.error();
  if (again->name != found->name) return Error{Code::stopping, "the volume was renamed just now"};
  if (!options_.read_only && connection->read_only()) return Error{Code::read_only, "the daemon serves it read-only"};
  if (name_ != found->name) log(fmt::format("{} is called {} now", name_, found->name));
  name_ = found->name;
  const u64 size = connection->size;
  client_.adopt(std::move(*connection));
  size_is(size);
  return {};
}

void Server::connection_lost(const Error& error) {
  log(fmt::format("{}: I/O waits ({} requests)", error.message, client_.unanswered()));
  retry_after_ = retry_min;
  retry_at_ = Clock::now() + retry_after_;
  note();
}

void Server::try_again() {
  const bool was_gone = gone_;
  auto status = connect();
  if (status) {
    gone_ = false;
    missing_since_.reset();
    retry_after_ = retry_min;
    log(fmt::format("connected again: {} requests go on", client_.unanswered()));
    note();
    return;
  }
  // A daemon that has just begun is believed only when it says so for a while.
  if (status.code() != Code::not_found) missing_since_.reset();
  if (status.code() == Code::not_found && !missing_since_) missing_since_ = Clock::now();
  gone_ = missing_since_ && Clock::now() - *missing_since_ >= gone_after;
  if (gone_ && !was_gone) log(fmt::format("{}: I/O fails from now on", status.error().message));
  retry_after_ = std::min(retry_after_ * 2, retry_max);
  retry_at_ = Clock::now() + retry_after_;
}

void Server::size_is(u64 bytes) {
  if (file_ == nullptr || file_->size() == bytes) return;
  log(fmt::format("{} has {} bytes now, {} before", name_, bytes, file_->size()));
  file_->set_size(bytes);
  note();
}

void Server::ask_size() {
  if (!client_.connected()) {
    retry_at_ = Clock::now();  // connecting tells the size too
    return;
  }
  const auto found = find_(options_.place.uuid(), name_);
  if (!found) {
    log(fmt::format("no present size: {}", found.error().message));
    return;
  }
  name_ = found->name;
  size_is(found->size);
  note();
}

void Server::take_signals() {
  signalfd_siginfo signal{};
  while (::read(signals_.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
    if (signal.ssi_signo == SIGHUP) {
      ask_size();
    } else if (!ending_) {
      ending_ = true;
      if (file_->handles() > 0) log("asked to end: waits until the device lets go of the file");
    }
  }
}

bool Server::finished() {
  if (file_->ended() && !client_.connected()) return true;
  if (!file_->ended() && (!ending_ || file_->handles() > 0)) return false;
  if (options_.read_only || !client_.connection().can_flush()) return client_.unanswered() == 0;
  if (!last_flush_sent_) client_.submit(std::make_unique<LastFlush>(last_flush_done_));
  last_flush_sent_ = true;
  return last_flush_done_ && client_.unanswered() == 0;
}

/// One look at everything. True: something moved.
bool Server::turn() {
  bool moved = file_->pump();
  if (client_.connected()) {
    auto pumped = client_.pump();
    if (!pumped) {
      connection_lost(pumped.error());
    } else {
      moved = moved || *pumped;
    }
  } else if (Clock::now() >= retry_at_) {
    try_again();
    moved = true;
  }
  if (gone_ && client_.unanswered() > 0) client_.fail_all(EIO);
  return moved;
}

void Server::sleep() {
  pollfd watched[3] = {{file_->fd(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {-1, 0, 0}};
  int timeout_ms = -1;
  if (client_.connected()) {
    watched[2] = {client_.socket(), static_cast<short>(client_.wants_to_send() ? POLLIN | POLLOUT : POLLIN), 0};
  } else {
    const auto left = std::chrono::ceil<milliseconds>(retry_at_ - Clock::now());
    timeout_ms = static_cast<int>(std::max<milliseconds::rep>(left.count(), 0));
  }
  if (::poll(watched, 3, timeout_ms) > 0 && watched[1].revents != 0) take_signals();
}

void Server::run() {
  for (unsigned turns = 1; !finished(); ++turns) {
    if (turns % signals_every == 0) take_signals();  // under load it never sleeps
    // Looking again for 50 µs before sleeping was slower here at every depth: on two cores it takes the daemon's time.
    if (!turn()) sleep();
  }
  client_.drop();
  log("ends");
}

void Server::note() {
  ServerState state;
  state.pid = ::getpid();
  state.name = name_;
  state.size = file_ != nullptr ? file_->size() : 0;
  state.connected = client_.connected();
  if (auto status = options_.place.write_server(state); !status) log(status.error().message);
}

}  // namespace

int serve(const ServeOptions& options, const FindVolume& find, const std::function<void(Status)>& ready) {
  Server server(options, find);
  if (auto status = server.start(); !status) {
    ready(status);
    return 1;
  }
  ready({});
  server.run();
  return 0;
}

}  // namespace brindle::attach
