// http.h: one HTTP/1.1 request and its answer over the control socket.
//
// Beast reads and writes the messages; the socket is a plain blocking one, since a command waits for one thing at a time
// and must wake on Ctrl-C. Each request has a connection of its own: 30 µs here, and no stale connection to handle.
// Fails:  Failure no_daemon (nothing listens, or it went away before it answered), interrupted.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace brindle::cli {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

class Http {
 public:
  explicit Http(std::string socket_path) : socket_path_(std::move(socket_path)) {}
  /// `target` is a path and query, already percent-encoded. `body`: JSON, or empty for none.
  /// Waits without end unless `patience` says how long; then it fails as if nobody had answered.
  HttpAnswer request(const std::string& method, const std::string& target, const std::string& body,
                     std::optional<std::chrono::milliseconds> patience = {}) const;
  const std::string& socket_path() const { return socket_path_; }

 private:
  std::string socket_path_;
};

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3), for one value of a query or one part of a path.
std::string url_encode(const std::string& text);

}  // namespace brindle::cli
