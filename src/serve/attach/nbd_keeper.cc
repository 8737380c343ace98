#include "serve/attach/nbd_keeper.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

#include "serve/attach/block_device.h"
#include "serve/attach/nbd_driver.h"
#include "serve/attach/nbd_netlink.h"

namespace brindle::attach {

namespace {

// A request that was under way when the daemon died is sent again when the kernel looks at it for the next time. Each look at one that
// has waited for so long is a line in the kernel's log, so that shorter is not better.
constexpr int look_every_ms = 2000;
constexpr int ending_poll_ms = 200;

class Keeper {
 public:
  Keeper(const ServeOptions& options, const FindVolume& find)
      : options_(options),
        link_(options.place.uuid(), options.name, options.nbd_socket, options.read_only, Replies::simple, find),
        backend_(nbd_backend(options.place)) {}

  Status start();
  void run();

 private:
  Status make_device(const NbdConnection& connection);
  void take_over(NbdConnection connection);
  void try_again();
  void size_is(u64 bytes);
  void ask_size();
  void connection_lost();
  void take_signals();
  void sleep();
  bool has_device() const;
  void note();

  const ServeOptions& options_;
  VolumeLink link_;
  const std::string backend_;
  Fd alive_, signals_;
  std::optional<NbdNetlink> kernel_, events_;
  std::string device_;   // "nbd3"
  u32 number_ = 0;
  Fd socket_;            // the connection that the kernel has; ours only to see it die
  u64 size_ = 0;
  bool connected_ = false;
  bool given_up_ = false;
  bool ending_ = false;
};

Status Keeper::start() {
  auto alive = options_.place.hold_alive();
  if (!alive) return alive.error();
  alive_ = std::move(*alive);
  auto signals = become_disk({SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2});
  if (!signals) return signals.error();
  signals_ = std::move(*signals);

  auto kernel = NbdNetlink::open();
  if (!kernel) return kernel.error();
  kernel_.emplace(std::move(*kernel));
  auto events = NbdNetlink::open();
  if (!events) return events.error();
  events_.emplace(std::move(*events));
  if (auto status = events_->listen(); !status) return status;

  auto connection = link_.connect();
  if (!connection) return connection.error();
  size_ = connection->size;
  if (auto status = make_device(*connection); !status) return status;
  take_over(std::move(*connection));
  log_line(fmt::format("keeps {} as {} ({} bytes{})", link_.name(), device_, size_, options_.read_only ? ", read-only" : ""));
  note();
  return {};
}

Status Keeper::make_device(const NbdConnection& connection) {
  const auto there = NbdDriver().find(options_.place);
  if (!there.empty()) {
    device_ = there.front().substr(5);
    number_ = static_cast<u32>(std::strtoul(device_.c_str() + 3, nullptr, 10));
    if (auto status = kernel_->reconnect(number_, backend_, connection.socket.get()); !status) return status;
    return kernel_->resize(number_, backend_, size_);
  }
  auto number = kernel_->connect({backend_, connection.socket.get(), size_, connection.flags});
  if (!number) return number.error();
  number_ = *number;
  device_ = fmt::format("nbd{}", number_);
  std::ofstream("/sys/block/" + device_ + "/queue/io_timeout") << look_every_ms;
  return {};
}

void Keeper::take_over(NbdConnection connection) {
  socket_ = std::move(connection.socket);
  connected_ = true;
}

/// The kernel has it, and has not been told to let go.
bool Keeper::has_device() const {
  return device_attribute(device_, "backend") == backend_ && !device_attribute(device_, "pid").empty();
}

void Keeper::connection_lost() {
  if (connected_) log_line("the connection broke: I/O waits");
  connected_ = false;
  socket_.reset();
  link_.lost();
  note();
}

void Keeper::try_again() {
  auto connection = link_.connect();
  Status status;
  if (connection) {
    // What it has told before is answered by this; what it tells from now on is about the new connection.
    events_->link_died(number_);
    status = kernel_->reconnect(number_, backend_, connection->socket.get());
  } else {
    status = connection.error();
  }
  link_.tried(status);
  if (status) {
    const u64 size = connection->size;
    take_over(std::move(*connection));
    log_line("connected again: I/O goes on");
    size_is(size);
    note();
  } else if (link_.gone()) {
    if (auto ended = kernel_->disconnect(number_); !ended) log_line(ended.error().message);
    given_up_ = true;
  }
}

void Keeper::size_is(u64 bytes) {
  if (size_ == bytes) return;
  if (auto status = kernel_->resize(number_, backend_, bytes); !status) return log_line(status.error().message);
  log_line(fmt::format("{} has {} bytes now, {} before", link_.name(), bytes, size_));
  size_ = bytes;
}

void Keeper::ask_size() {
  if (!connected_) return link_.hurry();  // connecting tells the size too
  const auto size = link_.ask_size();
  if (!size) return log_line(fmt::format("no present size: {}", size.error().message));
  size_is(*size);
  note();
}

void Keeper::take_signals() {
  signalfd_siginfo signal{};
  while (::read(signals_.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
    if (signal.ssi_signo == SIGHUP) {
      ask_size();
    } else if (signal.ssi_signo == SIGUSR1 || signal.ssi_signo == SIGUSR2) {
      log_line("makes no other connection");
      given_up_ = true;
      if (signal.ssi_signo == SIGUSR2 && socket_.ok()) ::shutdown(socket_.get(), SHUT_RDWR);
      socket_.reset();
      connected_ = false;
      note();
    } else if (!ending_) {
      ending_ = true;
      if (has_device()) log_line("asked to end: waits until the device is detached");
    }
  }
}

void Keeper::sleep() {
  pollfd watched[3] = {{signals_.get(), POLLIN, 0}, {events_->fd(), POLLIN, 0}, {connected_ ? socket_.get() : -1, 0, 0}};
  int timeout_ms = -1;
  if (!connected_ && !given_up_) timeout_ms = link_.wait_ms();
  if (ending_) timeout_ms = timeout_ms < 0 ? ending_poll_ms : std::min(timeout_ms, ending_poll_ms);
  ::poll(watched, 3, timeout_ms);
  if (watched[0].revents != 0) take_signals();
  const bool told = events_->link_died(number_);
  if (given_up_) return;
  if (told || (watched[2].revents & (POLLHUP | POLLERR)) != 0) connection_lost();
}

void Keeper::run() {
  while (!ending_ || has_device()) {
    if (!connected_ && !given_up_ && link_.is_due()) {
      if (has_device()) {
        try_again();
      } else {
        given_up_ = true;  // somebody else has taken the device away
      }
    }
    sleep();
  }
  log_line("ends");
}

void Keeper::note() {
  ServerState state;
  state.pid = ::getpid();
  state.name = link_.name();
  state.size = size_;
  state.connected = connected_;
  if (auto status = options_.place.write_server(state); !status) log_line(status.error().message);
}

}  // namespace

int keep_nbd(const ServeOptions& options, const FindVolume& find, const std::function<void(Status)>& ready) {
  Keeper keeper(options, find);
  if (auto status = keeper.start(); !status) {
    ready(status);
    return 1;
  }
  ready({});
  keeper.run();
  return 0;
}

}  // namespace brindle::attach
