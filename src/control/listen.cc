#include "control/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>

namespace brindle::control {

namespace {

constexpr int backlog = SOMAXCONN;
constexpr mode_t socket_mode = 0660;
constexpr u64 port_max = 65535;

Error failed(std::string_view what, int number) {
  return {Code::io, fmt::format("{}: {}", what, std::strerror(number))};
}

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    return (ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24) == 127;
  }
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

}  // namespace

Status check_socket_path(const std::string& path) {
  constexpr size_t length_max = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() <= length_max) return {};
  return Error{Code::invalid, fmt::format("the path {} is too long for a socket: it has {} bytes, and {} are allowed; choose a "
                                          "shorter --state",
                                          path, path.size(), length_max)};
}

Result<int> listen_unix(const std::string& path) {
  if (auto status = check_socket_path(path); !status) return status.error();
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return Error{Code::exists, fmt::format("{} is there and no socket: move it away", path)};
    }
    unlink(path.c_str());
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed("socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  fchmod(fd, socket_mode);  // so that it is never there with a wider mode, not even for a moment
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      chmod(path.c_str(), socket_mode) != 0 || listen(fd, backlog) != 0) {
    const Error error = failed(path, errno);
    close(fd);
    return error;
  }
  return fd;
}

Result<HostPort> parse_host_port(std::string_view text) {
  const Error malformed{Code::invalid, fmt::format("{} is not an address: give ADDR:PORT, as in 127.0.0.1:10809 or [::1]:10809",
                                                   text.empty() ? "''" : text)};
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), digit)) return malformed;
  if (std::stoul(std::string(port)) > port_max) return malformed;
  if (!host.empty() && host.front() == '[') {
    if (host.back() != ']' || host.size() < 3) return malformed;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return malformed;
  }
  return HostPort{host.empty() ? "127.0.0.1" : std::string(host), std::string(port)};
}

Result<TcpListener> listen_tcp(const HostPort& where) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int result = getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found); result != 0) {
    return Error{Code::invalid, fmt::format("{}: {}", where.host, gai_strerror(result))};
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed("socket", errno);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, backlog) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    const Error error = failed(fmt::format("{}:{}", where.host, where.port), errno);
    close(fd);
    return error;
  }
  const u16 port = ntohs(bound.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(bound).sin_port
                                                    : reinterpret_cast<sockaddr_in6&>(bound).sin6_port);
  const bool brackets = where.host.find(':') != std::string::npos;
  return TcpListener{fd, fmt::format("{}{}{}:{}", brackets ? "[" : "", where.host, brackets ? "]" : "", port),
                     is_loopback(bound)};
}

}  // namespace brindle::control
