#include "serve/nbd/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include "runtime/remote.h"

namespace brindle::nbd {

Connection::Connection(Worker& worker, int fd)
    : worker_(worker),
      core_(worker.core()),
      fd_(fd),
      moved_ns_(core_.now_ns()),
      room_(core_),
      idle_(core_),
      sendable_(core_) {}

Connection::~Connection() { ::close(fd_); }

Task<void> Connection::run() {
  const bool agreed = co_await negotiate();
  negotiating_ = false;
  if (agreed) {
    Gate sender(core_);
    sender.spawn(send_replies());
    co_await receive();
    worker_.leave_line(*this);
    while (under_way_ > 0) co_await idle_.wait();
    received_all_ = true;
    sendable_.notify_all();
    co_await sender.close();
    if (payload_) payload_.reset();  // of a write that did not arrive whole
    release(payload_charge_);
  }
  if (handle_) {
    const auto give_back = [this]() -> Task<Status> {
      handle_.reset();
      co_return Status{};
    };
    const Status status = co_await on(worker_.home(), core_, give_back);
    static_cast<void>(status);
  }
  ::shutdown(fd_, SHUT_RDWR);
}

void Connection::end() {
  if (negotiating_) return hang_up();
  ending_ = true;
  ::shutdown(fd_, SHUT_RD);
  room_.notify_all();
}

void Connection::hang_up() {
  ending_ = broken_ = true;
  ::shutdown(fd_, SHUT_RDWR);
  room_.notify_all();
}

}  // namespace brindle::nbd
