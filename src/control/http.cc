#include "control/http.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <semaphore>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "control/problem.h"

namespace brindle::control {

namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr auto idle_time = std::chrono::seconds(60);    // between two requests
constexpr auto header_time = std::chrono::seconds(10);  // from a request's first byte to the end of its headers
constexpr auto body_time = std::chrono::seconds(30);
constexpr auto stuck_time = std::chrono::seconds(20);   // that a client takes nothing of an answer
constexpr auto linger_time = std::chrono::seconds(2);   // for a refused client to stop sending
constexpr u64 linger_bytes_max = 64 * MiB;
constexpr u64 long_body = 1 * MiB;

/// Bodies that may be long, and are in memory together.
std::counting_semaphore<4> long_bodies{4};

/// A socket as the HTTP library sees a stream: reads and writes fail once their time is up.
class TimedStream {
 public:
  explicit TimedStream(int fd) : fd_(fd) {}
  ~TimedStream() { close(fd_); }
  TimedStream(const TimedStream&) = delete;
  TimedStream& operator=(const TimedStream&) = delete;

  void deadline(Clock::duration from_now) { deadline_ = Clock::now() + from_now; }

  template <class Buffers>
  size_t read_some(const Buffers& buffers, error_code& error) {
    const boost::asio::mutable_buffer into = *boost::asio::buffer_sequence_begin(buffers);
    for (;;) {
      const ssize_t got = recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
      if (got > 0) return static_cast<size_t>(got);
      if (got == 0) {
        error = boost::asio::error::eof;
        return 0;
      }
      if (!again(POLLIN, error)) return 0;
    }
  }
  template <class Buffers>
  size_t read_some(const Buffers& buffers) {
    error_code error;
    const size_t got = read_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return got;
  }
  /// All of it; each piece that the client takes gives it new time.
  bool write_all(std::string_view text) {
    error_code error;
    while (!text.empty()) {
      deadline(stuck_time);
      const ssize_t put = send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (put >= 0) {
        text.remove_prefix(static_cast<size_t>(put));
      } else if (!again(POLLOUT, error)) {
        return false;
      }
    }
    return true;
  }
  /// Sends no more, and reads what still comes to nowhere: were the socket closed with bytes unread, the kernel would reset
  /// the connection and the client might never see the answer.
  void linger() {
    shutdown(fd_, SHUT_WR);
    deadline(linger_time);
    std::array<char, 16 * KiB> nowhere;
    error_code error;
    u64 bytes = 0;
    while (!error && bytes < linger_bytes_max) bytes += read_some(boost::asio::buffer(nowhere), error);
  }

 private:
  /// After a system call that did not go through: waits until it may. False: it never will.
  bool again(short events, error_code& error) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      error = error_code(errno, boost::system::system_category());
      return false;
    }
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      pollfd wait{fd_, events, 0};
      const int ready = left > 0 ? poll(&wait, 1, static_cast<int>(left)) : 0;
      if (ready > 0) return true;
      if (ready < 0 && errno == EINTR) continue;
      error = boost::asio::error::timed_out;
      return false;
    }
  }

  int fd_;
  Clock::time_point deadline_;
};

bool hex_digit(char c, unsigned& out) {
  if (c >= '0' && c <= '9') return out = static_cast<unsigned>(c - '0'), true;
  if (c >= 'a' && c <= 'f') return out = static_cast<unsigned>(c - 'a' + 10), true;
  if (c >= 'A' && c <= 'F') return out = static_cast<unsigned>(c - 'A' + 10), true;
  return false;
}

/// Percent-decoding, RFC 3986, section 2.1; in a query a + is a space, as forms have it.
bool decode(std::string_view text, bool plus, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      unsigned high = 0;
      unsigned low = 0;
      if (i + 2 >= text.size() || !hex_digit(text[i + 1], high) || !hex_digit(text[i + 2], low)) return false;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return true;
}

}  // namespace

Status parse_target(std::string_view target, Request& request) {
  const Error malformed{Code::invalid, "the request's path is malformed"};
  request.path.clear();
  request.query.clear();
  if (target.empty() || target.front() != '/') return malformed;
  target = target.substr(0, target.find('#'));
  const size_t mark = target.find('?');
  std::string_view path = target.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  for (bool more = true; more;) {
    const size_t end = path.find('/');
    std::string segment;
    if (!decode(path.substr(0, end), false, segment)) return malformed;
    request.path.push_back(std::move(segment));
    more = end != std::string_view::npos;
    if (more) path.remove_prefix(end + 1);
  }
  if (mark == std::string_view::npos) return {};
  std::string_view query = target.substr(mark + 1);
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const size_t equals = pair.find('=');
    std::string key;
    std::string value;
    if (!decode(pair.substr(0, equals), true, key)) return malformed;
    if (equals != std::string_view::npos && !decode(pair.substr(equals + 1), true, value)) return malformed;
    if (!key.empty()) request.query.emplace_back(std::move(key), std::move(value));
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return {};
}

struct Connection::State {
  explicit State(int fd) : stream(fd) {}
  TimedStream stream;
  beast::flat_buffer buffer{header_bytes_max + 64 * KiB};
  bool keep_alive = true;
  bool chunks = true;  // HTTP/1.1: an answer may come in chunks
};

Connection::Connection(int fd) : state_(std::make_unique<State>(fd)) {}
Connection::~Connection() = default;

Connection::Got Connection::read(Request& request, Answer& answer, const std::function<void()>& on_begin) {
  State& state = *state_;
  error_code error;
  if (state.buffer.size() == 0) {
    state.stream.deadline(idle_time);
    const size_t got = state.stream.read_some(state.buffer.prepare(4 * KiB), error);
    if (error) return Got::nothing;
    state.buffer.commit(got);
  }
  on_begin();
  http::request_parser<http::string_body> parser;
  parser.header_limit(header_bytes_max);
  parser.body_limit(body_bytes_max);
  const auto refuse = [&](unsigned status, std::string why, Code code = Code::invalid) {
    answer = problem({code, std::move(why)}, status);
    return Got::refused;
  };
  state.stream.deadline(header_time);
  http::read_header(state.stream, state.buffer, parser, error);
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return refuse(431, fmt::format("the headers are longer than {} bytes", header_bytes_max));
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return Got::nothing;
  if (error == http::error::body_limit) {
    return refuse(413, fmt::format("the body is longer than {} bytes", body_bytes_max));
  }
  if (error == boost::asio::error::timed_out) return refuse(408, "the request did not come in time");
  if (error) return refuse(400, fmt::format("this is not an HTTP request: {}", error.message()));
  state.chunks = parser.get().version() >= 11;
  if (parser.chunked() || (parser.content_length() && *parser.content_length() > long_body)) {
    if (!long_bodies.try_acquire_for(body_time)) return refuse(503, "too many long requests at a time: try again", Code::busy);
    request.permit = std::shared_ptr<void>(nullptr, [](void*) { long_bodies.release(); });
  }
  if (beast::iequals(parser.get()[http::field::expect], "100-continue") &&
      !state.stream.write_all("HTTP/1.1 100 Continue\r\n\r\n")) {
    return Got::nothing;
  }
  state.stream.deadline(body_time);
  http::read(state.stream, state.buffer, parser, error);
  if (error == http::error::body_limit) {
    return refuse(413, fmt::format("the body is longer than {} bytes", body_bytes_max));
  }
  if (error == boost::asio::error::timed_out) return refuse(408, "the request did not come in time");
  if (error == http::error::partial_message || error == http::error::end_of_stream) return Got::nothing;
  if (error) return refuse(400, fmt::format("the request's body is malformed: {}", error.message()));
  const auto& message = parser.get();
  const auto header = [&](http::field field) { return std::string(message[field]); };
  // No path takes HEAD, and its answer must have no body: with the end of the connection the error is clear.
  state.keep_alive = message.keep_alive() && message.method() != http::verb::head;
  request.method = std::string(message.method_string());
  request.content_type = header(http::field::content_type);
  request.host = header(http::field::host);
  request.origin = header(http::field::origin);
  if (auto status = parse_target({message.target().data(), message.target().size()}, request); !status) {
    return refuse(400, status.error().message);
  }
  request.body = std::move(parser.get().body());
  return Got::request;
}

void Connection::linger() { state_->stream.linger(); }

bool Connection::write(Answer& answer, bool last) {
  State& state = *state_;
  const bool keep = state.keep_alive && !last && (!answer.more || state.chunks);
  const auto reason = http::obsolete_reason(static_cast<http::status>(answer.status));
  std::string out = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: application/{}\r\nCache-Control: no-store\r\n", answer.status,
                                std::string_view(reason.data(), reason.size()), answer.problem ? "problem+json" : "json");
  if (!answer.allow.empty()) out += fmt::format("Allow: {}\r\n", answer.allow);
  if (!keep) out += "Connection: close\r\n";
  if (!answer.more) {
    out += fmt::format("Content-Length: {}\r\n\r\n", answer.body.size());
    out += answer.body;
    return state.stream.write_all(out) && keep;
  }
  if (state.chunks) out += "Transfer-Encoding: chunked\r\n";
  out += "\r\n";
  std::string piece = std::move(answer.body);
  if (piece.empty()) piece = answer.more();
  for (; !piece.empty(); piece = answer.more()) {
    if (state.chunks) out += fmt::format("{:x}\r\n", piece.size());
    out += piece;
    if (state.chunks) out += "\r\n";
    if (!state.stream.write_all(out)) return false;
    out.clear();
  }
  if (state.chunks) out += "0\r\n\r\n";
  return state.stream.write_all(out) && keep;
}

}  // namespace brindle::control
