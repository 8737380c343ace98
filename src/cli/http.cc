#include "cli/http.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "base/units.h"
#include "cli/failure.h"
#include "cli/interrupt.h"

namespace brindle::cli {

namespace http = boost::beast::http;

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t read_size = 64 * 1024;

[[noreturn]] void no_daemon(std::string message) { throw Failure(Exit::no_daemon, "no_daemon", std::move(message)); }

class Socket {
 public:
  explicit Socket(std::optional<std::chrono::milliseconds> patience)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    deadline_ = patience ? Clock::now() + *patience : Clock::time_point::max();
    if (fd_ < 0)
      refuse(Code::io, fmt::format("no socket can be made: {}, close some files and try again", std::strerror(errno)));
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { ::close(fd_); }

  void connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
      refuse(Code::invalid,
             fmt::format("the path {} is too long for a socket: it has {} bytes, and {} are allowed, so give "
                         "a shorter --state, or go into that folder and give --state .",
                         path, path.size(), sizeof(address.sun_path) - 1));
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    int result = 0;
    do {
      result = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
      if (result < 0 && errno == EINTR) check_interrupt();
    } while (result < 0 && errno == EINTR);
    if (result == 0) return;
    if (errno == EACCES || errno == EPERM) {
      no_daemon(fmt::format("you may not open {}: run this as the user or in the group that owns it", path));
    }
    const std::string folder = path.substr(0, path.rfind('/'));
    no_daemon(
        fmt::format("no daemon answers on {} ({}): start one with `brindled --state {}`, or `./dev up` in a checkout",
                    path, errno == ENOENT ? "there is no such socket" : "nobody listens there", folder));
  }

  void send(const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      wait(POLLOUT);
      const ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n >= 0) {
        sent += static_cast<size_t>(n);
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return;  // it may have answered before it had read all: the answer says why
      } else if (errno != EINTR && errno != EAGAIN) {
        went_away();
      }
    }
  }

  /// Bytes read; 0 at the end of the stream.
  size_t receive(char* into, size_t size) {
    for (;;) {
      wait(POLLIN);
      const ssize_t n = ::recv(fd_, into, size, 0);
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR && errno != EAGAIN) return 0;
    }
  }

  [[noreturn]] static void went_away() {
    no_daemon(
        "the daemon went away before it answered: start it again, and look whether the command was done before you "
        "repeat it");
  }

 private:
  void wait(short events) {
    for (;;) {
      check_interrupt();
      int timeout_ms = -1;
      if (deadline_ != Clock::time_point::max()) {
        timeout_ms = static_cast<int>(
            std::max<i64>(0, std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count()));
      }
      pollfd entry{fd_, events, 0};
      const int ready = ::poll(&entry, 1, timeout_ms);
      if (ready > 0) return;
      if (ready == 0) no_daemon("the daemon did not answer in time: look at its log");
    }
  }

  int fd_;
  Clock::time_point deadline_;
};

}  // namespace

HttpAnswer Http::request(const std::string& method, const std::string& target, const std::string& body,
                         std::optional<std::chrono::milliseconds> patience) const {
  http::request<http::string_body> request{http::string_to_verb(method), target, 11};
  request.set(http::field::host, "brindle");
  request.set(http::field::user_agent, "brindle");
  request.set(http::field::accept, "application/json, application/problem+json");
  request.keep_alive(false);
  if (!body.empty()) request.set(http::field::content_type, "application/json");
  request.body() = body;
  request.prepare_payload();
  std::ostringstream text;
  text << request;

  Socket socket(patience);
  socket.connect(socket_path_);
  socket.send(text.str());

  http::response_parser<http::string_body> parser;
  parser.eager(true);
  parser.body_limit(boost::none);  // a list of 100,000 volumes is tens of megabytes, and the daemon is trusted
  boost::beast::flat_buffer buffer;
  boost::system::error_code error;
  while (!parser.is_done()) {
    auto space = buffer.prepare(read_size);
    const size_t n = socket.receive(static_cast<char*>(space.data()), space.size());
    buffer.commit(n);
    if (n == 0) {
      if (!parser.got_some()) Socket::went_away();
      parser.put_eof(error);
      if (error || !parser.is_done()) Socket::went_away();
      break;
    }
    buffer.consume(parser.put(buffer.data(), error));
    if (error == http::error::need_more) error = {};
    if (error) {
      refuse(Code::io, fmt::format("what answers on {} does not speak HTTP ({}): is it a brindled?", socket_path_,
                                   error.message()));
    }
  }
  auto response = parser.release();
  return {response.result_int(), std::move(response.body())};
}

std::string url_encode(const std::string& text) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

}  // namespace brindle::cli
