// task.h: Task<T>, a lazy coroutine that is awaited where it is made.
//
// Holds:  1. A task starts when it is awaited and resumes its awaiter when it ends (symmetric transfer, so depth costs no stack).
//         2. It is awaited once. Destroying a task that was never awaited runs nothing.
//         3. No exception leaves a task: an escaped one ends the process.
//         4. A function that had nothing to wait for may return a task that has ended, and no coroutine is made.
// Caller: any reactor; a task stays on the reactor on which it was started.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "runtime/frames.h"

namespace brindle {

template <class T = void>
class Task;

namespace detail {

struct TaskPromiseBase : frames::Pooled {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct Final {
    bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> me) noexcept {
      return me.promise().continuation;
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  Final final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> result;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*result); }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  /// One that has ended.
  Task() requires std::is_void_v<T>
  = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&&) = delete;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    Handle handle;
    bool await_ready() const noexcept { return std::is_void_v<T> && !handle; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
      handle.promise().continuation = awaiting;
      return handle;
    }
    T await_resume() {
      if constexpr (!std::is_void_v<T>) return handle.promise().take();
    }
  };
  Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }
  /// It has nothing to do any more, and never had a coroutine.
  bool has_ended() const { return !handle_; }

 private:
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

/// A coroutine that nobody awaits: it starts at once and frees itself. Made only by `start` below.
struct Detached {
  struct promise_type : frames::Pooled {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    void return_void() const noexcept {}
  };
};
}  // namespace detail

/// Starts `task` now, detached. Prefer Gate::spawn, whose owner can wait for the end.
inline void start(Task<void> task) {
  [](Task<void> body) -> detail::Detached { co_await std::move(body); }(std::move(task));
}

}  // namespace brindle
