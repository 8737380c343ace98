// sockets.h: listening sockets: a Unix socket whose path may be left over, and TCP addresses.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace brindle::nbd {

/// A listening descriptor that closes itself, and takes the path of a Unix socket with it.
class Listener {
 public:
  /// Mode 0660 from the first moment. A socket that nobody listens on is replaced.
  /// Fails: invalid (the path is too long for a socket, or something else stands there), busy (a live one), io.
  static Result<Listener> on_path(const std::string& path);
  /// "127.0.0.1:10809", "[::1]:0", "localhost:10809"; port 0 is any free one. Fails: invalid, busy, io.
  static Result<Listener> on_tcp(const std::string& address);

  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  ~Listener();
  int fd() const { return fd_; }
  /// As bound: the path, or host:port with the real port.
  const std::string& address() const { return address_; }

 private:
  Listener(int fd, std::string address, bool is_path) : fd_(fd), address_(std::move(address)), is_path_(is_path) {}
  int fd_;
  std::string address_;
  bool is_path_;
};

/// Makes an accepted connection answer at once, and notice a peer that is gone.
void tune_connection(int fd);

}  // namespace brindle::nbd
