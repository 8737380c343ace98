// outbox.h: replies that wait to be sent together: their headers in one run of bytes, their payloads where they lie.
//
// Holds:  what was added is sent in the order in which it was added.
#pragma once

#include <sys/uio.h>

#include <vector>

#include "serve/nbd/buffer_pool.h"
#include "serve/nbd/protocol.h"

namespace brindle::nbd {

class Outbox {
 public:
  bool empty() const { return heads_.empty(); }
  u64 replies() const { return replies_; }
  u64 own_bytes() const { return own_bytes_; }
  u64 shared_bytes() const { return shared_bytes_; }

  /// Room for `size` bytes of a header.
  std::byte* head(size_t size) {
    const size_t at = heads_.size();
    heads_.resize(at + size);
    return heads_.data() + at;
  }
  /// Bytes that follow the headers so far. They stay where they are until `clear`.
  void payload(const std::byte* bytes, u64 size) { payloads_.push_back({heads_.size(), bytes, size}); }
  /// Keeps a payload's memory, and what its connection was charged for it, until `clear`.
  void keep(Buffer buffer, u64 own_bytes, u64 shared_bytes) {
    if (buffer) buffers_.push_back(std::move(buffer));
    own_bytes_ += own_bytes;
    shared_bytes_ += shared_bytes;
  }
  void reply_ends() { ++replies_; }

  /// Everything, in order, as the kernel wants it.
  void gather(std::vector<iovec>& to) {
    to.clear();
    size_t from = 0;
    const auto heads_until = [&](size_t end) {
      if (end > from) to.push_back({heads_.data() + from, end - from});
      from = end;
    };
    for (const Payload& payload : payloads_) {
      heads_until(payload.behind);
      to.push_back({const_cast<std::byte*>(payload.bytes), payload.size});
    }
    heads_until(heads_.size());
  }
  void clear() {
    heads_.clear();
    payloads_.clear();
    while (!buffers_.empty()) buffers_.pop_back();
    replies_ = own_bytes_ = shared_bytes_ = 0;
  }

 private:
  struct Payload {
    size_t behind;  // so many bytes of headers
    const std::byte* bytes;
    u64 size;
  };
  std::vector<std::byte> heads_;
  std::vector<Payload> payloads_;
  std::vector<Buffer> buffers_;
  u64 replies_ = 0;
  u64 own_bytes_ = 0;
  u64 shared_bytes_ = 0;
};

}  // namespace brindle::nbd
