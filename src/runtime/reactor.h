// reactor.h: one thread's event loop on io_uring: what the engine, the sockets and the pool's file run on.
//
// Holds:  1. All but `post_remote` and `stop` is called on the reactor's own thread.
//         2. After the last event it looks for new ones for `poll_ns` before it sleeps in the kernel; a reactor without
//            traffic and timers sleeps until something happens.
//         3. What is ready runs in the order in which it became ready; kernel requests of one turn are submitted together.
// Fails:  the awaitables return what the system call would: a count or 0, or -errno.
#pragma once

#include <liburing.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <queue>
#include <vector>

#include "base/result.h"
#include "runtime/runtime.h"

namespace brindle {

struct ReactorOptions {
  int core = -1;                            // to run on; -1: any
  unsigned entries = 1024;                  // of the submission queue
  u64 poll_ns = 50 * microsecond_ns;
};

class Reactor final : public Runtime {
 public:
  static Result<std::unique_ptr<Reactor>> create(ReactorOptions options);
  ~Reactor() override;

  /// Runs until `stop`; then returns once what is ready has run.
  void run();
  /// From any thread.
  void stop();

  u64 now_ns() override;
  u64 wall_ns() override;
  void post(std::coroutine_handle<> handle) override { ready_.push_back(handle); }
  void post_at(u64 at_ns, std::coroutine_handle<> handle) override { timers_.push({at_ns, sequence_++, handle}); }
  void post_remote(std::function<void()> work) override;

  // --- the kernel
  struct Operation {
    std::coroutine_handle<> handle;
    int result = 0;
  };
  template <class Prepare>
  struct Awaiter {
    Reactor& reactor;
    Prepare prepare;
    Operation operation{};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      operation.handle = handle;
      io_uring_sqe* entry = reactor.entry();
      prepare(entry);
      io_uring_sqe_set_data(entry, &operation);
    }
    int await_resume() const noexcept { return operation.result; }
  };
  template <class Prepare>
  Awaiter<Prepare> request(Prepare prepare) {
    return Awaiter<Prepare>{*this, prepare};
  }
  auto accept(int fd) {
    return request([fd](io_uring_sqe* e) { io_uring_prep_accept(e, fd, nullptr, nullptr, SOCK_CLOEXEC); });
  }
  auto recv(int fd, MutBytes into, int flags = 0) {
    return request([=](io_uring_sqe* e) { io_uring_prep_recv(e, fd, into.data(), into.size(), flags); });
  }
  /// `message` must outlive the call.
  auto sendmsg(int fd, const msghdr* message) {
    return request([=](io_uring_sqe* e) { io_uring_prep_sendmsg(e, fd, message, MSG_NOSIGNAL); });
  }
  auto poll(int fd, unsigned events) {
    return request([=](io_uring_sqe* e) { io_uring_prep_poll_add(e, fd, events); });
  }
  auto readv(int fd, std::span<const iovec> into, u64 offset) {
    return request([=](io_uring_sqe* e) {
      io_uring_prep_readv(e, fd, into.data(), static_cast<unsigned>(into.size()), offset);
    });
  }
  auto writev(int fd, std::span<const iovec> from, u64 offset) {
    return request([=](io_uring_sqe* e) {
      io_uring_prep_writev(e, fd, from.data(), static_cast<unsigned>(from.size()), offset);
    });
  }
  auto fdatasync(int fd) {
    return request([=](io_uring_sqe* e) { io_uring_prep_fsync(e, fd, IORING_FSYNC_DATASYNC); });
  }
  auto fallocate(int fd, int mode, u64 offset, u64 length) {
    return request([=](io_uring_sqe* e) { io_uring_prep_fallocate(e, fd, mode, offset, length); });
  }
  /// Ends what waits on the descriptor; those requests return -ECANCELED.
  auto cancel(int fd) {
    return request([=](io_uring_sqe* e) { io_uring_prep_cancel_fd(e, fd, IORING_ASYNC_CANCEL_ALL); });
  }

  /// Nanoseconds of this thread's processor time so far; for tests of idling and of the use of cores.
  u64 busy_ns() const { return busy_ns_; }

 private:
  struct Timer {
    u64 at_ns;
    u64 sequence;
    std::coroutine_handle<> handle;
    bool operator>(const Timer& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : sequence > other.sequence;
    }
  };

  explicit Reactor(ReactorOptions options) : options_(options) {}
  Status start();
  io_uring_sqe* entry();
  bool reap();
  bool run_ready();
  bool run_timers();
  bool run_remote();
  void sleep_in_kernel();
  void arm_wake();

  ReactorOptions options_;
  io_uring ring_{};
  bool ring_made_ = false;
  bool deferred_ = false;  // completions are only brought when asked for
  int wake_fd_ = -1;
  u64 wake_value_ = 0;
  Operation wake_;
  std::deque<std::coroutine_handle<>> ready_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  u64 sequence_ = 0;
  u64 busy_ns_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> asleep_{false};
  std::atomic<bool> remote_waits_{false};
  std::mutex remote_mutex_;
  std::vector<std::function<void()>> remote_;
};

}  // namespace brindle
