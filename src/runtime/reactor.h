// reactor.h: one thread's event loop on io_uring: what the engine, the sockets and the pool's file run on.
//
// A turn: those who look for something themselves; then messages from other threads and what is ready, in rounds until there is
// nothing, each followed by the messages that it made; then what asked for the end of the turn (replies go out here, before any new I/O
// is submitted), then one submission of all kernel requests, then their completions. Only reads of a device do not wait for the end of
// the turn.
//
// Holds:  1. All but `send`, `post_remote`, `stop` and `busy_ns` is called on the reactor's own thread.
//         2. After the last event it looks for new ones for `poll_ns`, longer only while that has paid, before it sleeps in
//            the kernel; a reactor without traffic and timers sleeps until something happens. It does not look while a flush
//            or a fallocate is under way: these run on a kernel thread, which needs the processor more.
//         3. What is ready runs in the order in which it became ready.
//         4. The messages of a round to another reactor travel together: one atomic step, and one wake at most.
//         5. A request that finds the ring full is parked until the ring has room; none is lost and nothing spins.
// Fails:  the awaitables return what the system call would: a count or 0, or -errno.
#pragma once

#include <liburing.h>

#include <atomic>
#include <deque>
#include <memory>
#include <queue>
#include <vector>

#include "base/result.h"
#include "runtime/runtime.h"

namespace brindle {

struct ReactorOptions {
  int core = -1;                            // to run on; -1: any
  unsigned entries = 1024;                  // of the submission queue
  u64 poll_ns = 50 * microsecond_ns;
  u64 poll_max_ns = 200 * microsecond_ns;   // how far polling may grow while it pays
  u64 poll_reads_ns = 600 * microsecond_ns; // and with many reads under way, which a device may end all at once
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
  u64 turn_ns() override { return turn_ns_; }
  u64 wall_ns() override;
  void post(std::coroutine_handle<> handle) override { ready_.push_back(handle); }
  void post_yielding(std::coroutine_handle<> handle) override {
    ready_.push_back(handle);
    yielded_ = true;
  }
  void post_at(u64 at_ns, std::coroutine_handle<> handle) override { timers_.push({at_ns, sequence_++, handle}); }
  void post_remote(std::function<void()> work) override;
  void send(Message& message) override;

  struct TurnEnd {
    Reactor& reactor;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { reactor.late_.push_back(handle); }
    void await_resume() const noexcept {}
  };
  /// Goes on when everything that is ready has run (of long work a step or a few), before new kernel requests are submitted.
  TurnEnd turn_end() { return TurnEnd{*this}; }

  /// For what may be there soon: true, the next turn has come and it may be looked at again. False: the reactor is about to sleep, does
  /// not poll now, or enough look already; ask the kernel then, which costs two more system calls than finding it.
  struct Look {
    Reactor& reactor;
    std::coroutine_handle<> handle{};
    bool again = false;
    bool await_ready() const noexcept { return !reactor.may_look(); }
    void await_suspend(std::coroutine_handle<> waiting) {
      handle = waiting;
      reactor.looking_.push_back(this);
    }
    bool await_resume() const noexcept { return again; }
  };
  Look look() { return Look{*this}; }
  /// To be called when what was looked for is there: it counts as an event.
  void found() { found_ = true; }

  // --- the kernel
  struct Operation {
    std::coroutine_handle<> handle;
    void (*fill)(Operation&, io_uring_sqe*) = nullptr;
    int result = 0;
    bool slow = false;    // runs on a kernel thread
    bool prompt = false;  // goes to the kernel with few others, at the end of the round at the latest; not at the end of the turn
  };
  template <class Prepare>
  struct Awaiter : Operation {
    Reactor& reactor;
    Prepare prepare;
    Awaiter(Reactor& on, Prepare how, bool is_slow, bool is_prompt) : reactor(on), prepare(how) {
      fill = [](Operation& self, io_uring_sqe* entry) { static_cast<Awaiter&>(self).prepare(entry); };
      slow = is_slow;
      prompt = is_prompt;
    }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
      handle = waiting;
      reactor.begin(*this);
    }
    int await_resume() const noexcept { return result; }
  };
  /// Any request of the ring. What `prepare` refers to must stay until it has completed.
  template <class Prepare>
  Awaiter<Prepare> request(Prepare prepare, bool slow = false, bool prompt = false) {
    return Awaiter<Prepare>(*this, prepare, slow, prompt);
  }
  auto accept(int fd) {
    return request([fd](io_uring_sqe* e) { io_uring_prep_accept(e, fd, nullptr, nullptr, SOCK_CLOEXEC); });
  }
  auto recv(int fd, MutBytes into, int flags = 0) {
    return request([=](io_uring_sqe* e) { io_uring_prep_recv(e, fd, into.data(), into.size(), flags); });
  }
  auto send(int fd, Bytes from) {
    return request([=](io_uring_sqe* e) { io_uring_prep_send(e, fd, from.data(), from.size(), MSG_NOSIGNAL); });
  }
  auto poll(int fd, unsigned events) {
    return request([=](io_uring_sqe* e) { io_uring_prep_poll_add(e, fd, events); });
  }
  /// A device that waits for the end of the turn is a device that idles: of many reads, those of a turn come back together and would
  /// go out together again.
  auto readv(int fd, std::span<const iovec> into, u64 offset) {
    const auto prepare = [=](io_uring_sqe* e) {
      io_uring_prep_readv(e, fd, into.data(), static_cast<unsigned>(into.size()), offset);
    };
    return request(prepare, false, true);
  }
  auto writev(int fd, std::span<const iovec> from, u64 offset) {
    return request([=](io_uring_sqe* e) {
      io_uring_prep_writev(e, fd, from.data(), static_cast<unsigned>(from.size()), offset);
    });
  }
  auto fdatasync(int fd) {
    return request([=](io_uring_sqe* e) { io_uring_prep_fsync(e, fd, IORING_FSYNC_DATASYNC); }, true);
  }
  auto fallocate(int fd, int mode, u64 offset, u64 length) {
    return request([=](io_uring_sqe* e) { io_uring_prep_fallocate(e, fd, mode, offset, length); }, true);
  }

  /// Processor time of the thread in `run` so far, from any thread; 0 before it runs.
  u64 busy_ns() const;
  /// How often it went to sleep in the kernel.
  u64 sleeps() const { return sleeps_.load(std::memory_order_relaxed); }

 private:
  struct Timer {
    u64 at_ns;
    u64 sequence;
    std::coroutine_handle<> handle;
    bool operator>(const Timer& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : sequence > other.sequence;
    }
  };

  explicit Reactor(ReactorOptions options) : options_(options), poll_ns_(options.poll_ns) {}
  Status start();
  void begin(Operation& operation);
  bool try_begin(Operation& operation);
  void submit_prompt();
  u64 poll_max_ns() const;
  void unpark();
  void submit();
  bool reap();
  bool run_ready();
  bool run_late();
  void run_timers();
  bool may_look() const { return slow_ == 0 && looking_.size() < looking_max; }
  bool run_looks(bool again);
  bool run_messages();
  void send_messages();
  void deliver(Message* newest, Message* oldest);
  void turn(bool& worked);
  void sleep_in_kernel();
  void adapt(u64 waited_ns, u64 most_ns);

  ReactorOptions options_;
  io_uring ring_{};
  bool ring_made_ = false;
  bool deferred_ = false;  // completions are only brought when asked for
  int wake_fd_ = -1;
  u64 wake_value_ = 0;
  Operation wake_;
  std::deque<std::coroutine_handle<>> ready_;
  bool yielded_ = false;  // somebody in this turn: there is long work
  std::vector<std::coroutine_handle<>> late_;
  std::vector<std::coroutine_handle<>> late_now_;
  static constexpr size_t looking_max = 4;  // each costs a system call a turn
  std::vector<Look*> looking_;
  std::vector<Look*> looking_now_;
  bool found_ = false;
  std::deque<Operation*> parked_;
  unsigned prompt_ = 0;  // requests that wait for a few more
  unsigned reads_under_way_ = 0;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  u64 sequence_ = 0;
  u64 turn_ns_ = 0;
  u64 poll_ns_;
  u64 slow_ = 0;  // requests under way on kernel threads
  std::atomic<u64> sleeps_{0};
  std::atomic<u64> ended_busy_ns_{0};
  std::atomic<clockid_t> clock_{0};
  std::atomic<bool> running_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> asleep_{false};
  std::atomic<Message*> inbox_{nullptr};  // the newest first
  /// Messages of this turn to another reactor, the newest first.
  struct Outgoing {
    Reactor* to;
    Message* newest;
    Message* oldest;
  };
  std::vector<Outgoing> outgoing_;
};

}  // namespace brindle
