// http.h: HTTP/1.1 over one connected socket: a request in, an answer out, each with a time by which it must be done.
//
// Holds:  1. What a client sends is bounded: 16 KiB of headers, 16 MiB of body; what it makes us wait is bounded too.
//            Bodies of more than 1 MiB are read a few at a time, whatever the number of connections.
//         2. An answer that is made piece by piece is sent piece by piece, so a long list is never whole in memory.
// Caller: the connection's own thread; every call may block until its time is up.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace brindle::control {

inline constexpr u64 body_bytes_max = 16 * MiB;
inline constexpr u32 header_bytes_max = 16 * KiB;

/// By which way a request came: through the Unix socket, or over TCP to an address that only this host reaches, or that others do.
enum class Way { local, loopback, network };

struct Request {
  Way way = Way::local;
  std::string method;
  std::vector<std::string> path;                           // its segments, decoded: {"v1", "volumes", "db"}
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  std::string content_type;
  std::string host;
  std::string origin;
  std::string body;
  std::shared_ptr<void> permit;  // of a long body: one of few that there are at a time
};

struct Answer {
  unsigned status = 200;
  std::string body;
  /// Where set: gives the rest of the body, a piece a call, and "" at its end.
  std::function<std::string()> more;
  std::string allow;  // of a 405: the methods that there are
  bool problem = false;
};

class Connection {
 public:
  /// Takes the descriptor over.
  explicit Connection(int fd);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  enum class Got { request, nothing, refused };
  /// Waits for a request. `nothing`: the client went away or sent nothing for a minute; `refused`: it sent what cannot be a
  /// request, and `answer` says so. In both cases the connection is at its end.
  /// `on_begin` is called when the first byte is there.
  Got read(Request& request, Answer& answer, const std::function<void()>& on_begin);
  /// Sends the answer. False: the connection is at its end.
  bool write(Answer& answer, bool last);
  /// After a refusal: lets the client read it.
  void linger();

 private:
  struct State;  // hides the HTTP library from everybody else
  std::unique_ptr<State> state_;
};

/// Cuts a request's target in decoded pieces. Fails: invalid.
Status parse_target(std::string_view target, Request& request);

}  // namespace brindle::control
