// receive.cc: takes everything that the socket holds with one call, and begins every request that is complete in it.
//
// Bytes arrive in the worker's inbox, which is warm and belongs to nobody for longer than a turn. A write's payload is copied
// from there into an aligned buffer that the log sends from; where much of it is still to come, the kernel puts the rest
// into that buffer directly, and what follows it into the inbox, in one call.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "serve/nbd/connection.h"

namespace brindle::nbd {

namespace {

constexpr u64 payload_skip_max = 64 * MiB;  // of payload that nobody wants; a client that sends more makes no sense
constexpr u64 block_status_bytes = 16 * KiB;
// So long after bytes went to or fro a client may ask again at once. A client that rests must cost nothing while others are busy.
constexpr u64 look_ns = 50 * microsecond_ns;

constexpr std::string_view not_such_a_request = "the request is not one that this export can take";

u64 memory_for(const Request& request) {
  if (request.is(Command::read) || request.is(Command::write)) return round_up(request.length, block_size);
  return request.is(Command::block_status) ? block_status_bytes : 0;
}

}  // namespace

Task<void> Connection::receive() {
  while (!ending_) {
    const MutBytes inbox = worker_.inbox();
    std::memcpy(inbox.data(), head_.data(), head_size_);
    const bool direct = is_writing_ && refusing_ == WireError::none;
    const u64 wanted = direct ? payload_left_ : 0;
    std::array<iovec, 2> into{};
    size_t count = 0;
    if (direct) into[count++] = {payload_.data() + payload_size_ - payload_left_, payload_left_};
    into[count++] = {inbox.data() + head_size_, inbox.size() - head_size_};
    msghdr message{};
    message.msg_iov = into.data();
    message.msg_iovlen = count;
    const ssize_t got = ::recvmsg(fd_, &message, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      const bool more = co_await wait_for_bytes();
      if (!more) break;
      continue;
    }
    if (got <= 0) break;
    core_.found();
    moved_ns_ = core_.turn_ns();
    const auto bytes = static_cast<u64>(got);
    moved_bytes_ += bytes;
    const bool drained = bytes < wanted + inbox.size() - head_size_;
    const u64 to_payload = std::min(bytes, wanted);
    if (direct) {
      payload_left_ -= to_payload;
      if (payload_left_ == 0) payload_arrived();
    }
    if (bytes > to_payload) {
      const Bytes arrived = inbox.first(head_size_ + bytes - to_payload);
      head_size_ = 0;
      const bool more = co_await take_requests(arrived);
      if (!more) break;
    }
    if (drained) {
      const bool more = co_await wait_for_bytes();
      if (!more) break;
    } else {
      co_await core_.yield();
    }
  }
}

/// Or for as good as nothing, where more is likely to come at once. False: nothing will come any more.
Task<bool> Connection::wait_for_bytes() {
  if (core_.turn_ns() < moved_ns_ + look_ns) {
    const bool again = co_await core_.look();
    if (again || ending_) co_return true;
  }
  const int polled = co_await core_.poll(fd_, POLLIN);
  co_return polled >= 0;
}

/// False: the client has said goodbye, or makes no sense.
Task<bool> Connection::take_requests(Bytes bytes) {
  for (;;) {
    if (is_writing_) {
      const u64 size = std::min<u64>(payload_left_, bytes.size());
      if (refusing_ == WireError::none) std::memcpy(payload_.data() + payload_size_ - payload_left_, bytes.data(), size);
      payload_left_ -= size;
      bytes = bytes.subspan(size);
      if (payload_left_ > 0) co_return true;
      payload_arrived();
    }
    if (bytes.size() < request_bytes) break;
    const auto request = parse_request(bytes.data());
    if (!request || request->is(Command::disconnect)) co_return false;
    WireError refused = check_request(*request, structured_, has_context_);
    const bool writes = request->is(Command::write);
    if (writes && read_only_ && refused == WireError::none) refused = WireError::perm;
    if (writes && refused != WireError::none && request->length > payload_skip_max) co_return false;
    Charge charge;
    const u64 memory = refused == WireError::none ? memory_for(*request) : 0;
    if (!try_admit(memory, charge)) {
      if (bytes.data() < spill_.data() || bytes.data() >= spill_.data() + spill_.size()) {
        spill_.assign(bytes.begin(), bytes.end());  // the inbox is not ours while we wait
        bytes = spill_;
      }
      const bool admitted = co_await admit(memory, charge);
      if (!admitted) co_return false;
    }
    bytes = bytes.subspan(request_bytes);
    if (writes) {
      writing_ = *request;
      refusing_ = refused;
      payload_size_ = payload_left_ = request->length;
      payload_charge_ = charge;
      if (refused == WireError::none) payload_ = worker_.buffers().take(request->length);
      is_writing_ = true;
    } else if (refused != WireError::none) {
      answer_error(*request, refused, not_such_a_request);
    } else {
      dispatch(*request, charge);
    }
  }
  std::copy(bytes.begin(), bytes.end(), head_.begin());
  head_size_ = bytes.size();
  if (spill_.capacity() > 0) std::vector<std::byte>().swap(spill_);
  co_return true;
}

void Connection::payload_arrived() {
  is_writing_ = false;
  if (refusing_ != WireError::none) {
    const bool larger = refusing_ == WireError::overflow;
    answer_error(writing_, refusing_,
                 refusing_ == WireError::perm ? "the export is read-only"
                 : larger                     ? "the request is too large"
                                              : not_such_a_request);
    return;
  }
  const Charge charge = std::exchange(payload_charge_, {});
  ++under_way_;
  serve_write(writing_, std::move(payload_), charge);
}

// --- memory ---------------------------------------------------------------------------------------------------------

bool Connection::try_admit(u64 bytes, Charge& charge) {
  const Limits& limits = worker_.limits();
  if (requests_ >= limits.requests) return false;
  if (own_bytes_ + bytes <= limits.own_bytes) {
    charge.own = bytes;
  } else if (worker_.try_take(*this, bytes)) {
    charge.shared = bytes;
  } else {
    return false;
  }
  ++requests_;
  own_bytes_ += charge.own;
  shared_bytes_ += charge.shared;
  return true;
}

Task<bool> Connection::admit(u64 bytes, Charge& charge) {
  for (;;) {
    if (ending_) co_return false;
    if (try_admit(bytes, charge)) break;
    if (requests_ < worker_.limits().requests) worker_.wait_in_line(*this);
    co_await room_.wait();
  }
  worker_.leave_line(*this);
  co_return true;
}

void Connection::release(Charge charge) {
  own_bytes_ -= charge.own;
  shared_bytes_ -= charge.shared;
  if (shared_bytes_ == 0) held_up_ns_ = 0;
  worker_.give_back(charge.shared);
  room_.notify_all();
}

}  // namespace brindle::nbd
