#include "serve/attach/nbd_client.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "serve/attach/big_endian.h"

namespace brindle::attach {

namespace {

constexpr u32 magic_request = 0x25609513, magic_simple = 0x67446698, magic_chunk = 0x668e33ef;
constexpr size_t simple_header = 16, chunk_header = 20;
enum Chunk : u16 { chunk_none = 0, chunk_data = 1, chunk_hole = 2, chunk_status = 5, chunk_error_bit = 0x8000 };
constexpr u16 chunk_done = 1;
constexpr u32 status_zero = 2;
constexpr u32 nbd_shutdown = 108;       // NBD_ESHUTDOWN
constexpr size_t inbox_size = 256 * KiB;
constexpr u64 side_max = 64 * KiB;
constexpr size_t pieces_max = 128;      // of one send

Error strange(const char* what) { return Error{Code::invalid, fmt::format("the server broke the protocol: {}", what)}; }

/// NBD's error numbers are Linux's, but a server may send any; only these are defined.
int errno_of(u32 error) {
  switch (error) {
    case 1: return EPERM;
    case 12: return ENOMEM;
    case 22: return EINVAL;
    case 28: return ENOSPC;
    case 75: return EOVERFLOW;
    case 95: return EOPNOTSUPP;
    default: return EIO;
  }
}

}  // namespace

NbdClient::NbdClient() : inbox_(inbox_size) {}

void NbdClient::adopt(NbdConnection connection) {
  connection_ = std::move(connection);
  inbox_begin_ = inbox_end_ = 0;
  payload_ = nullptr;
  payload_left_ = 0;
  in_chunk_ = shutting_down_ = false;
  sending_.clear();
  front_sent_ = 0;
  for (auto& [cookie, command] : commands_) enqueue(cookie, *command);
}

void NbdClient::enqueue(u64 cookie, Command& command) {
  command.sent_ = command.answered_ = false;
  command.error_ = 0;
  command.status_bytes_ = 0;
  command.all_zero_ = true;
  store_be(command.header_, magic_request);
  store_be(command.header_ + 4, u16{0});
  store_be(command.header_ + 6, static_cast<u16>(command.type_));
  store_be(command.header_ + 8, cookie);
  store_be(command.header_ + 16, command.offset_);
  store_be(command.header_ + 24, command.length_);
  sending_.push_back(cookie);
}

void NbdClient::submit(std::unique_ptr<Command> command) {
  const u64 cookie = next_cookie_++;
  Command& kept = *commands_.emplace_hint(commands_.end(), cookie, std::move(command))->second;
  if (connected()) enqueue(cookie, kept);
}

Result<bool> NbdClient::pump() {
  bool moved = false;
  auto status = send_some(moved);
  if (status) status = receive_some(moved);
  if (status && shutting_down_) status = Error{Code::stopping, "the server is stopping"};
  if (!status) {
    connection_.socket.reset();
    return status.error();
  }
  return moved;
}

void NbdClient::drop() {
  if (!connected()) return;
  if (sending_.empty()) {
    std::byte goodbye[28] = {};
    store_be(goodbye, magic_request);
    store_be(goodbye + 6, static_cast<u16>(Command::Type::disconnect));
    // Courtesy only: whether it arrives changes nothing.
    (void)::send(connection_.socket.get(), goodbye, sizeof goodbye, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  connection_.socket.reset();
}

void NbdClient::fail_all(int error) {
  // In the middle of a request nothing else can be sent on this connection.
  connection_.socket.reset();
  // What they submit while they end comes into the fresh map, and waits for the next connection.
  auto failed = std::move(commands_);
  commands_.clear();
  sending_.clear();
  front_sent_ = 0;
  for (auto& [cookie, command] : failed) command->finish(error);
}

Command* NbdClient::find(u64 cookie) {
  const auto found = commands_.find(cookie);
  return found == commands_.end() ? nullptr : found->second.get();
}

void NbdClient::complete(u64 cookie) {
  const auto found = commands_.find(cookie);
  const std::unique_ptr<Command> command = std::move(found->second);
  commands_.erase(found);
  command->finish(command->error_);
}

/// The server has said all that it says about this one.
void NbdClient::answer(u64 cookie, int error) {
  Command& command = *commands_.at(cookie);
  if (error != 0 && command.error_ == 0) command.error_ = error;
  if (shutting_down_) return;               // kept for the next connection
  if (command.sent_) {
    complete(cookie);
  } else {
    command.answered_ = true;               // its bytes are still being sent from its buffer
  }
}

Status NbdClient::send_some(bool& moved) {
  while (!sending_.empty()) {
    std::array<iovec, pieces_max> pieces;
    size_t count = 0, total = 0;
    size_t skip = front_sent_;
    const auto add = [&](std::byte* data, size_t length) {
      const size_t skipped = std::min(skip, length);
      skip -= skipped;
      if (skipped == length) return;
      pieces[count++] = {data + skipped, length - skipped};
      total += length - skipped;
    };
    for (const u64 cookie : sending_) {
      if (count + 2 > pieces.size()) break;
      Command& command = *commands_.at(cookie);
      add(command.header_, sizeof command.header_);
      if (command.type_ == Command::Type::write) add(command.data_, command.length_);
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t n = ::sendmsg(connection_.socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0) return Error{Code::stopping, fmt::format("the connection broke: {}", std::strerror(errno))};
    moved = true;
    for (size_t left = static_cast<size_t>(n) + front_sent_; !sending_.empty();) {
      const u64 cookie = sending_.front();
      Command& command = *commands_.at(cookie);
      const size_t whole = sizeof command.header_ + (command.type_ == Command::Type::write ? command.length_ : 0);
      if (left < whole) {
        front_sent_ = left;
        break;
      }
      left -= whole;
      front_sent_ = 0;
      sending_.pop_front();
      command.sent_ = true;
      if (command.answered_) complete(cookie);
    }
    if (static_cast<size_t>(n) < total) return {};
  }
  return {};
}

Status NbdClient::receive_some(bool& moved) {
  for (;;) {
    // A payload's rest comes straight to where it belongs; what follows it, into the inbox.
    const bool direct = payload_left_ > 0 && payload_ != nullptr;
    std::array<iovec, 2> into;
    size_t count = 0;
    if (direct) into[count++] = {payload_, payload_left_};
    if (inbox_begin_ > 0) {
      std::memmove(inbox_.data(), inbox_.data() + inbox_begin_, inbox_end_ - inbox_begin_);
      inbox_end_ -= inbox_begin_;
      inbox_begin_ = 0;
    }
    into[count++] = {inbox_.data() + inbox_end_, inbox_.size() - inbox_end_};
    msghdr message{};
    message.msg_iov = into.data();
    message.msg_iovlen = count;
    const size_t asked = (direct ? payload_left_ : 0) + inbox_.size() - inbox_end_;
    const ssize_t n = ::recvmsg(connection_.socket.get(), &message, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0) return Error{Code::stopping, fmt::format("the connection broke: {}", std::strerror(errno))};
    if (n == 0) return Error{Code::stopping, "the server closed the connection"};
    moved = true;
    u64 got = static_cast<u64>(n);
    if (direct) {
      const u64 here = std::min(got, payload_left_);
      payload_ += here;
      payload_left_ -= here;
      got -= here;
      if (payload_left_ == 0) chunk_ends();
    }
    inbox_end_ += got;
    if (auto status = take_header(); !status) return status;
    if (static_cast<size_t>(n) < asked) return {};
  }
}

/// Takes all whole answers out of the inbox, and the beginning of a payload that is still under way.
Status NbdClient::take_header() {
  for (;;) {
    const size_t have = inbox_end_ - inbox_begin_;
    const std::byte* at = inbox_.data() + inbox_begin_;
    if (payload_left_ > 0) {
      if (have == 0) return {};
      const u64 here = std::min<u64>(have, payload_left_);
      if (payload_ != nullptr) {
        std::memcpy(payload_, at, here);
        payload_ += here;
      } else {
        side_.insert(side_.end(), at, at + here);
      }
      inbox_begin_ += here;
      payload_left_ -= here;
      if (payload_left_ > 0) return {};
      if (payload_ == nullptr) {
        if (auto status = take_chunk(); !status) return status;
      }
      chunk_ends();
      continue;
    }
    if (have < 4) return {};
    const u32 magic = load_be<u32>(at);
    if (magic == magic_simple) {
      if (have < simple_header) return {};
      if (auto status = take_simple(); !status) return status;
    } else if (magic == magic_chunk) {
      if (have < chunk_header) return {};
      const u16 flags = load_be<u16>(at + 4);
      chunk_kind_ = load_be<u16>(at + 6);
      cookie_ = load_be<u64>(at + 8);
      const u32 length = load_be<u32>(at + 16);
      chunk_last_ = (flags & chunk_done) != 0;
      in_chunk_ = true;
      Command* command = find(cookie_);
      if (command == nullptr) return strange("an answer to nothing");
      side_.clear();
      if (chunk_kind_ == chunk_data) {
        // Its first eight bytes say where the rest goes.
        if (have < chunk_header + 8) return {};
        const u64 offset = load_be<u64>(at + chunk_header);
        if (length < 8 || command->type_ != Command::Type::read || offset < command->offset_ ||
            offset - command->offset_ > command->length_ || length - 8 > command->length_ - (offset - command->offset_)) {
          return strange("data where none was asked for");
        }
        inbox_begin_ += chunk_header + 8;
        payload_ = command->data_ + (offset - command->offset_);
        payload_left_ = length - 8;
      } else {
        if (length > side_max) return strange("an answer of absurd length");
        inbox_begin_ += chunk_header;
        payload_ = nullptr;
        payload_left_ = length;
      }
      if (payload_left_ == 0) {
        if (payload_ == nullptr) {
          if (auto status = take_chunk(); !status) return status;
        }
        chunk_ends();
      }
    } else {
      return strange("neither a reply nor a chunk");
    }
  }
}

Status NbdClient::take_simple() {
  const std::byte* at = inbox_.data() + inbox_begin_;
  const u32 error = load_be<u32>(at + 4);
  cookie_ = load_be<u64>(at + 8);
  Command* command = find(cookie_);
  if (command == nullptr) return strange("an answer to nothing");
  inbox_begin_ += simple_header;
  if (error == nbd_shutdown) shutting_down_ = true;
  if (command->type_ == Command::Type::block_status && error == 0) return strange("a block status without one");
  if (command->type_ == Command::Type::read && error == 0) {
    if (connection_.structured) return strange("a simple reply to a read");
    in_chunk_ = chunk_last_ = true;
    payload_ = command->data_;
    payload_left_ = command->length_;
    return {};
  }
  answer(cookie_, error == 0 ? 0 : errno_of(error));
  return {};
}

/// A chunk without read data, whose payload is in side_.
Status NbdClient::take_chunk() {
  Command& command = *commands_.at(cookie_);
  if ((chunk_kind_ & chunk_error_bit) != 0) {
    if (side_.size() < 6) return strange("an error that is too short");
    const u32 error = load_be<u32>(side_.data());
    if (error == nbd_shutdown) shutting_down_ = true;
    if (command.error_ == 0) command.error_ = errno_of(error);
    return {};
  }
  if (chunk_kind_ == chunk_none) return {};
  if (chunk_kind_ == chunk_hole) {
    if (side_.size() != 12 || command.type_ != Command::Type::read) return strange("a hole where none was asked for");
    const u64 offset = load_be<u64>(side_.data());
    const u32 length = load_be<u32>(side_.data() + 8);
    if (offset < command.offset_ || offset - command.offset_ > command.length_ ||
        length > command.length_ - (offset - command.offset_)) {
      return strange("a hole outside of what was asked for");
    }
    std::memset(command.data_ + (offset - command.offset_), 0, length);
    return {};
  }
  if (chunk_kind_ == chunk_status) {
    if (command.type_ != Command::Type::block_status || side_.size() < 12) return strange("a block status that nobody asked for");
    if (load_be<u32>(side_.data()) != connection_.allocation_id) return {};
    for (size_t at = 4; at + 8 <= side_.size(); at += 8) {
      command.status_bytes_ += load_be<u32>(side_.data() + at);
      if ((load_be<u32>(side_.data() + at + 4) & status_zero) == 0) command.all_zero_ = false;
    }
    return {};
  }
  return strange("a chunk of unknown kind");
}

void NbdClient::chunk_ends() {
  payload_ = nullptr;
  if (!in_chunk_ || !chunk_last_) return;
  in_chunk_ = chunk_last_ = false;
  Command& command = *commands_.at(cookie_);
  if (command.type_ == Command::Type::block_status && command.status_bytes_ < command.length_) command.all_zero_ = false;
  answer(cookie_, 0);
}

}  // namespace brindle::attach
