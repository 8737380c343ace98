#include "serve/nbd/sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/names.h"

namespace brindle::nbd {

namespace {

constexpr int backlog = 128;
constexpr mode_t socket_mode = 0660;
// The kernel ends a killed process's ring, and lets go of the sockets that it accepted on, some time after the process.
constexpr int dying_wait_ms = 2'000;
constexpr int dying_step_ms = 5;

Error system_error(const std::string& what, const char* doing, int number) {
  const Code code = number == EADDRINUSE ? Code::busy : number == EADDRNOTAVAIL ? Code::invalid : Code::io;
  return {code, fmt::format("{}: {}: {}", what, doing, std::strerror(number))};
}

/// Is somebody listening there?
bool is_live(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  const int connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool refused = connected != 0 && (errno == ECONNREFUSED || errno == ENOENT);
  close(fd);
  return !refused;
}

/// Tries until it succeeds, as long as one that was killed may take to let go.
template <class Try>
bool outlive(Try succeeds) {
  for (int waited_ms = 0; !succeeds(); waited_ms += dying_step_ms) {
    if (waited_ms >= dying_wait_ms) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(dying_step_ms));
  }
  return true;
}

}  // namespace

Listener::Listener(Listener&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(std::move(other.address_)), is_path_(other.is_path_) {}

Listener::~Listener() {
  if (fd_ < 0) return;
  if (is_path_) unlink(address_.c_str());
  close(fd_);
}

Result<Listener> Listener::on_path(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{Code::invalid, fmt::format("{}: a socket's path has at most {} characters, and this one {}: choose a shorter "
                                            "state directory",
                                            path, sizeof address.sun_path - 1, path.size())};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return Error{Code::invalid, fmt::format("{}: there is something that is not a socket: move it away", path)};
    }
    if (!outlive([&] { return !is_live(address); })) {
      return Error{Code::busy, fmt::format("{}: another server listens there: stop it, or choose another path", path)};
    }
    unlink(path.c_str());  // left by one that was killed
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return system_error(path, "socket", errno);
  fchmod(fd, socket_mode);  // so that it never stands there with more
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const Error error = system_error(path, "cannot listen", errno);
    close(fd);
    return error;
  }
  Listener listener(fd, path, true);
  if (chmod(path.c_str(), socket_mode) != 0) return system_error(path, "chmod", errno);
  if (::listen(fd, backlog) != 0) return system_error(path, "cannot listen", errno);
  return listener;
}

Result<Listener> Listener::on_tcp(const std::string& address) {
  const size_t colon = address.rfind(':');
  const auto number = parse_bytes(colon == std::string::npos ? "" : address.substr(colon + 1));
  if (!number || *number > 65535) {  // getaddrinfo would take it modulo 65536
    return Error{Code::invalid, fmt::format("{}: not an address: give one such as 127.0.0.1:10809 or [::1]:10809", address)};
  }
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0) return Error{Code::invalid, fmt::format("{}: {}", address, gai_strerror(failed))};
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> freed(found, freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return system_error(address, "socket", errno);
  Listener listener(fd, address, false);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (found->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  int refused = 0;
  outlive([&] {
    refused = bind(fd, found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd, backlog) == 0 ? 0 : errno;
    return refused != EADDRINUSE;
  });
  if (refused != 0) return system_error(address, "cannot listen", refused);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  char bound_host[NI_MAXHOST] = "";
  char bound_port[NI_MAXSERV] = "";
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
      getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, bound_host, sizeof bound_host, bound_port, sizeof bound_port,
                  NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
    listener.address_ = bound.ss_family == AF_INET6 ? fmt::format("[{}]:{}", bound_host, bound_port)
                                                    : fmt::format("{}:{}", bound_host, bound_port);
  }
  return listener;
}

void tune_connection(int fd) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0 || own.ss_family == AF_UNIX) return;
  const int on = 1;
  const int idle_s = 60;
  const int between_s = 15;
  const int probes = 4;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof between_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

}  // namespace brindle::nbd
