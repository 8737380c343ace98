// listen.h: sockets to listen on: a Unix one in the state folder, and one of TCP.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace brindle::control {

/// A path that is too long for the kernel's sockaddr_un is refused.
Status check_socket_path(const std::string& path);

/// Listens at `path` with mode 0660, in the place of a socket that a dead daemon left there.
/// The descriptor does not block. Fails: invalid (too long), exists (what lies there is no socket), io.
Result<int> listen_unix(const std::string& path);

struct HostPort {
  std::string host;  // without the brackets of an IPv6 address; 127.0.0.1 where none was given
  std::string port;
};
/// "127.0.0.1:8080", "[::1]:8080", ":8080". Fails: invalid.
Result<HostPort> parse_host_port(std::string_view text);

struct TcpListener {
  int fd = -1;
  std::string address;  // "127.0.0.1:8080": the port that it really has
  bool loopback = true;
};
Result<TcpListener> listen_tcp(const HostPort& where);

}  // namespace brindle::control
