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

Connection::Connection(Worker& worker, Agreed agreed) : Connection(worker, agreed.fd) {
  negotiating_ = false;
  no_zeroes_ = agreed.no_zeroes;
  structured_ = agreed.structured;
  read_only_ = agreed.read_only;
  has_context_ = agreed.has_context;
  id_ = agreed.id;
  handle_ = std::move(agreed.handle);
}

Connection::~Connection() {
  if (fd_ >= 0) ::close(fd_);
}

Task<void> Connection::run() {
  bool agreed = handle_ != nullptr;
  if (!agreed) {
    agreed = co_await negotiate();
    negotiating_ = false;
    Worker& place = agreed ? worker_.place(id_) : worker_;
    if (&place != &worker_) {
      const bool moved = co_await move_to(place);
      if (moved) co_return;
      agreed = false;
    }
  }
  if (agreed) co_await serve();
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

/// The other worker answers before this one forgets the client, so that whoever closes both finds it at one of them. False: that one
/// is closing.
Task<bool> Connection::move_to(Worker& worker) {
  Agreed agreed{fd_, no_zeroes_, structured_, read_only_, has_context_, id_, std::move(handle_)};
  const auto take = [&] { return worker.take_over(agreed); };
  const Status taken = co_await on(worker.core(), core_, take);
  if (taken) {
    fd_ = -1;
  } else {
    handle_ = std::move(agreed.handle);
  }
  co_return taken.ok();
}

Task<void> Connection::serve() {
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

void Connection::end() {
  if (negotiating_) return hang_up();
  ending_ = true;
  ::shutdown(fd_, SHUT_RD);
  room_.notify_all();
}

bool Connection::hardly_moves(u64 since_ns) {
  if (shared_bytes_ == 0 || under_way_ > 0) return false;
  if (held_up_ns_ == 0) held_up_from_ = moved_bytes_;
  held_up_ns_ += since_ns;
  if (held_up_ns_ <= worker_.limits().stall_ns) return false;
  held_up_ns_ = 0;
  return moved_bytes_ - held_up_from_ < worker_.limits().stall_bytes;
}

void Connection::hang_up() {
  ending_ = broken_ = true;
  ::shutdown(fd_, SHUT_RDWR);
  room_.notify_all();
}

}  // namespace brindle::nbd
