#include "serve/attach/nbd_connection.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "serve/attach/big_endian.h"

namespace brindle::attach {

namespace {

constexpr u64 magic_server = 0x4e42444d41474943;   // "NBDMAGIC"
constexpr u64 magic_option = 0x49484156454f5054;   // "IHAVEOPT"
constexpr u64 magic_option_reply = 0x3e889045565a9;
constexpr u16 fixed_newstyle = 1, no_zeroes = 2;   // the same bits from both sides

enum Option : u32 { option_go = 7, option_structured_reply = 8, option_set_meta_context = 10 };
enum Reply : u32 { reply_ack = 1, reply_info = 3, reply_meta_context = 4 };
constexpr u32 reply_is_error = 1U << 31;
constexpr u32 reply_unknown = reply_is_error + 6, reply_shutdown = reply_is_error + 7;
constexpr u16 info_export = 0;
constexpr u32 reply_length_max = 64 * 1024;        // names and descriptions; more is not NBD
constexpr const char* allocation_context = "base:allocation";

Error gone(const char* why) { return Error{Code::stopping, why}; }
Error no_server(const char* why) { return Error{Code::invalid, fmt::format("what answers is not a usable NBD server: {}", why)}; }

/// What is sent as one option.
class Message {
 public:
  template <class T>
  Message& number(T value) {
    std::byte raw[sizeof(T)];
    store_be(raw, value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof(T));
    return *this;
  }
  Message& text(const std::string& value) {
    const auto* raw = reinterpret_cast<const std::byte*>(value.data());
    bytes_.insert(bytes_.end(), raw, raw + value.size());
    return *this;
  }
  Message& string(const std::string& value) { return number(static_cast<u32>(value.size())).text(value); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class Handshake {
 public:
  explicit Handshake(Fd socket) : socket_(std::move(socket)) {}

  Result<NbdConnection> run(const std::string& export_name, Replies replies) {
    if (auto status = greet(); !status) return status.error();
    NbdConnection connection;
    if (replies == Replies::structured) {
      auto structured = ask_structured();
      if (!structured) return structured.error();
      connection.structured = *structured;
    }
    if (connection.structured) {
      auto id = ask_allocation(export_name);
      if (!id) return id.error();
      connection.allocation_id = *id;
    }
    if (auto status = go(export_name, connection); !status) return status.error();
    const timeval for_ever{};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof for_ever);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &for_ever, sizeof for_ever);
    connection.socket = std::move(socket_);
    return connection;
  }

 private:
  struct OptionReply {
    u32 kind = 0;
    std::vector<std::byte> data;
    bool is_error() const { return (kind & reply_is_error) != 0; }
  };

  Status send(const std::vector<std::byte>& bytes) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::send(socket_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return gone("the connection broke while it was made");
      done += static_cast<size_t>(n);
    }
    return {};
  }

  Status receive(std::byte* into, size_t length) {
    for (size_t done = 0; done < length;) {
      const ssize_t n = ::recv(socket_.get(), into + done, length - done, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n == 0) return gone("the server closed the connection");
      if (n < 0) return gone(errno == EAGAIN ? "the server does not answer" : "the connection broke while it was made");
      done += static_cast<size_t>(n);
    }
    return {};
  }

  Status greet() {
    std::byte greeting[18];
    if (auto status = receive(greeting, sizeof greeting); !status) return status;
    if (load_be<u64>(greeting) != magic_server || load_be<u64>(greeting + 8) != magic_option) return no_server("no greeting");
    const u16 flags = load_be<u16>(greeting + 16);
    if ((flags & fixed_newstyle) == 0) return no_server("it does not speak fixed newstyle");
    const u32 mine = static_cast<u32>(fixed_newstyle | (flags & no_zeroes));
    return send(Message().number(mine).bytes());
  }

  Status send_option(u32 option, const Message& data) {
    Message message;
    message.number(magic_option).number(option).number(static_cast<u32>(data.bytes().size()));
    std::vector<std::byte> all = message.bytes();
    all.insert(all.end(), data.bytes().begin(), data.bytes().end());
    return send(all);
  }

  Result<OptionReply> receive_reply(u32 option) {
    std::byte header[20];
    if (auto status = receive(header, sizeof header); !status) return status.error();
    if (load_be<u64>(header) != magic_option_reply || load_be<u32>(header + 8) != option) return no_server("an option's answer");
    OptionReply reply;
    reply.kind = load_be<u32>(header + 12);
    const u32 length = load_be<u32>(header + 16);
    if (length > reply_length_max) return no_server("an answer of absurd length");
    reply.data.resize(length);
    if (auto status = receive(reply.data.data(), length); !status) return status.error();
    if (reply.kind == reply_shutdown) return gone("the server is stopping");
    return reply;
  }

  Result<bool> ask_structured() {
    if (auto status = send_option(option_structured_reply, {}); !status) return status.error();
    auto reply = receive_reply(option_structured_reply);
    if (!reply) return reply.error();
    return reply->kind == reply_ack;
  }

  Result<u32> ask_allocation(const std::string& export_name) {
    Message message;
    message.string(export_name).number(u32{1}).string(allocation_context);
    if (auto status = send_option(option_set_meta_context, message); !status) return status.error();
    u32 id = 0;
    for (;;) {
      auto reply = receive_reply(option_set_meta_context);
      if (!reply) return reply.error();
      if (reply->kind != reply_meta_context) return reply->kind == reply_ack ? id : u32{0};
      if (reply->data.size() < 4) return no_server("a meta context without a number");
      id = load_be<u32>(reply->data.data());
    }
  }

  Status go(const std::string& export_name, NbdConnection& connection) {
    Message message;
    message.string(export_name).number(u16{0});
    if (auto status = send_option(option_go, message); !status) return status;
    bool described = false;
    for (;;) {
      auto reply = receive_reply(option_go);
      if (!reply) return reply.error();
      if (reply->kind == reply_ack) return described ? Status{} : Status{no_server("an export without a size")};
      if (reply->kind == reply_unknown) return Error{Code::not_found, fmt::format("no export {}", export_name)};
      if (reply->is_error()) {
        const std::string why(reinterpret_cast<const char*>(reply->data.data()), reply->data.size());
        return Error{Code::invalid, fmt::format("the server refuses the export {}: {}", export_name,
                                                why.empty() ? fmt::format("error {}", reply->kind & ~reply_is_error) : why)};
      }
      if (reply->kind == reply_info && reply->data.size() >= 12 && load_be<u16>(reply->data.data()) == info_export) {
        connection.size = load_be<u64>(reply->data.data() + 2);
        connection.flags = load_be<u16>(reply->data.data() + 10);
        described = true;
      }
    }
  }

  Fd socket_;
};

}  // namespace

Result<NbdConnection> nbd_connect(const std::string& socket_path, const std::string& export_name, Replies replies,
                                  int patience_ms) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return Error{Code::invalid, fmt::format("{}: too long for a socket's path", socket_path)};
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.ok()) return Error{Code::io, fmt::format("no socket: {}", std::strerror(errno))};
  const timeval patience{patience_ms / 1000, patience_ms % 1000 * 1000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error{Code::stopping, fmt::format("{}: {}", socket_path, std::strerror(errno))};
  }
  return Handshake(std::move(socket)).run(export_name, replies);
}

}  // namespace brindle::attach
