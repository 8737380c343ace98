// send.cc: the replies that a turn has made go out in one call, before the turn's new I/O is submitted.
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "serve/nbd/connection.h"

namespace brindle::nbd {

Task<void> Connection::send_replies() {
  for (;;) {
    if (outbox_.empty()) {
      if (received_all_) break;
      co_await sendable_.wait();
      continue;
    }
    co_await core_.turn_end();
    std::swap(outbox_, sending_);
    if (!broken_) {
      const bool sent = co_await send_outbox();
      if (!sent) hang_up();
    }
    requests_ -= sending_.replies();
    const Charge charge{sending_.own_bytes(), sending_.shared_bytes()};
    sending_.clear();
    release(charge);
  }
}

Task<bool> Connection::send_outbox() {
  sending_.gather(vectors_);
  size_t first = 0;
  while (first < vectors_.size()) {
    msghdr message{};
    message.msg_iov = vectors_.data() + first;
    message.msg_iovlen = std::min<size_t>(vectors_.size() - first, IOV_MAX);
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) {
      const int polled = co_await core_.poll(fd_, POLLOUT);
      if (polled < 0 || broken_) co_return false;
      continue;
    }
    if (sent < 0) co_return false;
    moved_ns_ = core_.now_ns();  // the end of a long turn is far from its beginning, and the next request is looked for from here on
    auto left = static_cast<size_t>(sent);
    moved_bytes_ += left;
    while (first < vectors_.size() && left >= vectors_[first].iov_len) left -= vectors_[first++].iov_len;
    if (left > 0) {
      vectors_[first].iov_base = static_cast<std::byte*>(vectors_[first].iov_base) + left;
      vectors_[first].iov_len -= left;
    }
  }
  co_return true;
}

}  // namespace brindle::nbd
