#include "control/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include <spdlog/spdlog.h>

#include "control/listen.h"
#include "control/problem.h"

namespace brindle::control {

namespace {

constexpr auto end_time = std::chrono::seconds(2);            // for the last answers to be taken
constexpr auto no_descriptors_time = std::chrono::milliseconds(100);  // to wait for one when the process has none left

/// Pieces of an answer are made while it is sent.
bool send(Connection& connection, Answer& answer, bool last) {
  try {
    return connection.write(answer, last);
  } catch (const std::exception& error) {
    spdlog::error("control: an answer was cut short: {}", error.what());
    return false;
  }
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Handler handler) {
  std::unique_ptr<Server> server(new Server(std::move(options), std::move(handler)));
  server->wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (auto status = server->listen_unix(); !status) return status.error();
  if (auto status = server->listen_tcp(); !status) return status.error();
  server->acceptor_ = std::thread([raw = server.get()] { raw->accept_all(); });
  return server;
}

Status Server::listen_unix() {
  auto fd = control::listen_unix(options_.unix_path);
  if (!fd) return fd.error();
  unix_fd_ = *fd;
  addresses_.push_back("unix:" + options_.unix_path);
  return {};
}

Status Server::listen_tcp() {
  if (options_.tcp.empty()) return {};
  auto where = parse_host_port(options_.tcp);
  if (!where) return where.error();
  auto listener = control::listen_tcp(*where);
  if (!listener) return listener.error();
  tcp_fd_ = listener->fd;
  addresses_.push_back("http://" + listener->address);
  if (!listener->loopback) {
    tcp_way_ = Way::network;
    spdlog::warn("the control API on {} is open to whoever can reach it: it knows no passwords", listener->address);
  }
  return {};
}

Server::~Server() {
  refuse();
  close();
  for (int fd : {unix_fd_, tcp_fd_, wake_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

void Server::accept_all() {
  for (;;) {
    std::array<pollfd, 3> waiting{{{wake_fd_, POLLIN, 0}, {unix_fd_, POLLIN, 0}, {tcp_fd_, POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    for (const pollfd& one : waiting) {
      if ((one.revents & POLLIN) == 0 || one.fd == wake_fd_) continue;
      if (!make_room()) return;
      const int fd = accept4(one.fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) {
        admit(fd, one.fd == tcp_fd_ ? tcp_way_ : Way::local);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        std::this_thread::sleep_for(no_descriptors_time);
      }
    }
    const std::lock_guard lock(mutex_);
    if (refusing_) return;
  }
}

/// Waits until there is room for one more connection. False: no more are taken.
bool Server::make_room() {
  std::unique_lock lock(mutex_);
  while (!refusing_ && clients_.size() >= options_.connections_max) {
    auto oldest = clients_.end();
    for (auto at = clients_.begin(); at != clients_.end(); ++at) {
      if (at->second.idle && (oldest == clients_.end() || at->second.since < oldest->second.since)) oldest = at;
    }
    if (oldest != clients_.end()) {
      oldest->second.idle = false;
      shutdown(oldest->second.fd, SHUT_RDWR);
    }
    changed_.wait(lock);
  }
  return !refusing_;
}

void Server::admit(int fd, Way way) {
  const std::lock_guard lock(mutex_);
  const u64 id = next_id_++;
  clients_[id] = Client{fd, true, ++clock_};
  try {
    std::thread([this, id, fd, way] { serve(id, fd, way); }).detach();
  } catch (const std::system_error& error) {
    spdlog::warn("control: no thread for a connection: {}", error.what());
    clients_.erase(id);
    ::close(fd);
  }
}

void Server::serve(u64 id, int fd, Way way) {
  {
    Connection connection(fd);
    const auto begin = [&] {
      const std::lock_guard lock(mutex_);
      clients_[id].idle = false;
    };
    for (bool more = true; more;) {
      Request request;
      request.way = way;
      Answer answer;
      auto got = Connection::Got::refused;
      try {
        got = connection.read(request, answer, begin);
        if (got == Connection::Got::request) answer = handler_(request);
      } catch (const std::exception& error) {  // no memory
        spdlog::error("control: a request was not served: {}", error.what());
        answer = problem({Code::io, error.what()});
        got = Connection::Got::refused;
      }
      if (got == Connection::Got::nothing) break;
      request = Request();
      bool last = got == Connection::Got::refused;
      {
        const std::lock_guard lock(mutex_);
        last = last || refusing_;
      }
      more = send(connection, answer, last);
      if (got == Connection::Got::refused) connection.linger();
      const std::lock_guard lock(mutex_);
      clients_[id].idle = true;
      clients_[id].since = ++clock_;
      changed_.notify_all();
      if (refusing_) break;
    }
    const std::lock_guard lock(mutex_);
    clients_[id].fd = -1;  // from here on nobody may shut the descriptor down: its number may be another's soon
  }
  const std::lock_guard lock(mutex_);
  clients_.erase(id);
  changed_.notify_all();
}

void Server::refuse() {
  const std::lock_guard lock(mutex_);
  if (refusing_) return;
  refusing_ = true;
  const u64 one = 1;
  static_cast<void>(write(wake_fd_, &one, sizeof one));
  for (const auto& [id, client] : clients_) {
    if (client.fd >= 0) shutdown(client.fd, SHUT_RD);
  }
  changed_.notify_all();
}

void Server::close() {
  if (acceptor_.joinable()) acceptor_.join();
  std::unique_lock lock(mutex_);
  const auto gone = [this] { return clients_.empty(); };
  if (!changed_.wait_for(lock, end_time, gone)) {
    for (const auto& [id, client] : clients_) {
      if (client.fd >= 0) shutdown(client.fd, SHUT_RDWR);
    }
    changed_.wait(lock, gone);
  }
  if (unix_fd_ >= 0) {
    ::close(unix_fd_);
    unlink(options_.unix_path.c_str());
    unix_fd_ = -1;
  }
}

}  // namespace brindle::control
