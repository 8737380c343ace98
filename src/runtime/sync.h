// sync.h: how coroutines of one runtime wait for each other: Signal, Gate, Semaphore, Mutex.
//
// Holds:  1. All of it belongs to one runtime's thread; nothing here is atomic.
//         2. A waiter is resumed through Runtime::post, never inside the call that woke it.
//         3. Waiters are woken in the order in which they came.
#pragma once

#include <deque>
#include <utility>

#include "base/check.h"
#include "runtime/runtime.h"
#include "runtime/task.h"

namespace brindle {

/// A condition: `wait` sleeps until the next `notify_all`. Check the condition again after waking.
class Signal {
 public:
  explicit Signal(Runtime& runtime) : runtime_(runtime) {}
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  ~Signal() { CHECK(waiters_.empty()); }

  struct Wait {
    Signal& signal;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { signal.waiters_.push_back(handle); }
    void await_resume() const noexcept {}
  };
  Wait wait() { return Wait{*this}; }
  void notify_all() {
    while (!waiters_.empty()) notify_one();
  }
  void notify_one() {
    if (waiters_.empty()) return;
    runtime_.post(waiters_.front());
    waiters_.pop_front();
  }
  bool has_waiters() const { return !waiters_.empty(); }

 private:
  Runtime& runtime_;
  std::deque<std::coroutine_handle<>> waiters_;
};

/// Counts detached work; its owner's `close` waits until the last of it has ended.
class Gate {
 public:
  explicit Gate(Runtime& runtime) : empty_(runtime) {}
  /// Starts `task` now. After `close` began nothing may be spawned any more.
  void spawn(Task<void> task) {
    CHECK(!closed_);
    ++count_;
    start(run(*this, std::move(task)));
  }
  Task<void> close() {
    closed_ = true;
    while (count_ > 0) co_await empty_.wait();
  }
  u64 count() const { return count_; }
  bool closed() const { return closed_; }

 private:
  static Task<void> run(Gate& gate, Task<void> task) {
    co_await std::move(task);
    if (--gate.count_ == 0) gate.empty_.notify_all();
  }

  Signal empty_;
  u64 count_ = 0;
  bool closed_ = false;
};

/// So many permits; who wants more than there are waits its turn.
class Semaphore {
 public:
  Semaphore(Runtime& runtime, u64 permits) : runtime_(runtime), permits_(permits) {}
  ~Semaphore() { CHECK(waiters_.empty()); }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  struct Acquire {
    Semaphore& semaphore;
    u64 count;
    bool await_ready() const noexcept {
      if (!semaphore.waiters_.empty() || semaphore.permits_ < count) return false;
      semaphore.permits_ -= count;
      return true;
    }
    void await_suspend(std::coroutine_handle<> handle) const { semaphore.waiters_.push_back({handle, count}); }
    void await_resume() const noexcept {}
  };
  /// Must be awaited where it is made. `count` must not exceed the permits that there are in all.
  Acquire acquire(u64 count = 1) { return Acquire{*this, count}; }
  void release(u64 count = 1) {
    permits_ += count;
    while (!waiters_.empty() && waiters_.front().count <= permits_) {
      permits_ -= waiters_.front().count;
      runtime_.post(waiters_.front().handle);
      waiters_.pop_front();
    }
  }
  u64 available() const { return permits_; }

 private:
  struct Waiter {
    std::coroutine_handle<> handle;
    u64 count;
  };
  Runtime& runtime_;
  u64 permits_;
  std::deque<Waiter> waiters_;
};

/// A semaphore of one permit: `co_await mutex.acquire(); … mutex.release();`
class Mutex : public Semaphore {
 public:
  explicit Mutex(Runtime& runtime) : Semaphore(runtime, 1) {}
};

}  // namespace brindle
