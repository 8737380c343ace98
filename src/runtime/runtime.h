// runtime.h: what the engine sees of time and of scheduling. The reactor is one, the simulator the other.
//
// Holds:  1. One runtime runs on one thread; only `send` and `post_remote` may be called from others.
//         2. A posted coroutine runs later, never inside `post`. In production the order is first in, first out; the
//            simulator picks any.
#pragma once

#include <coroutine>
#include <functional>

#include "base/units.h"
#include "runtime/task.h"

namespace brindle {

/// What one runtime hands to another: a few lines to run there. It is part of something that the sender keeps until it has run.
struct Message {
  void (*run)(Message&) = nullptr;
  Message* next = nullptr;  // of those on the same way
};

class Runtime {
 public:
  Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  virtual ~Runtime() = default;

  /// Monotonic time, in nanoseconds.
  virtual u64 now_ns() = 0;
  /// The same a little while ago, for nothing: when this turn began. For who asks with every request. On this runtime's thread.
  virtual u64 turn_ns() { return now_ns(); }
  /// Wall time since 1970, in nanoseconds; for people only.
  virtual u64 wall_ns() = 0;
  /// Resumes `handle` in a later turn.
  virtual void post(std::coroutine_handle<> handle) = 0;
  /// The same for one that lets others go first.
  virtual void post_yielding(std::coroutine_handle<> handle) { post(handle); }
  /// Resumes `handle` at `at_ns` (of now_ns) or a little later.
  virtual void post_at(u64 at_ns, std::coroutine_handle<> handle) = 0;
  /// Runs `work` on this runtime's thread. From any thread.
  virtual void post_remote(std::function<void()> work) = 0;
  /// Runs the message on this runtime's thread. From any thread; what one thread sends arrives in that order.
  virtual void send(Message& message) {
    post_remote([&message] { message.run(message); });
  }

  struct Yield {
    Runtime& runtime;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { runtime.post_yielding(handle); }
    void await_resume() const noexcept {}
  };
  /// Lets everything else that is ready run first.
  Yield yield() { return Yield{*this}; }

  struct Sleep {
    Runtime& runtime;
    u64 at_ns;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { runtime.post_at(at_ns, handle); }
    void await_resume() const noexcept {}
  };
  /// Sleeps for at least `ns`.
  Sleep sleep(u64 ns) { return Sleep{*this, now_ns() + ns}; }
};

inline constexpr u64 microsecond_ns = 1000;
inline constexpr u64 millisecond_ns = 1000 * microsecond_ns;
inline constexpr u64 second_ns = 1000 * millisecond_ns;

}  // namespace brindle
