// remote.h: calls from one runtime to another, and from plain threads.
//
// Holds:  1. The call's coroutine runs on `home` from its first line to its last; the caller goes on where it was.
//         2. `make` is a function that returns a Task<T>, T not void. It is copied to where it runs and stays until its task
//            has ended, so a lambda that captures by value, or by reference what outlives the call, may itself be a coroutine.
// Caller: `home` must run until the call has returned: a stopped reactor never answers.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/runtime.h"

namespace brindle {

namespace detail {

template <class T>
struct TaskValue;
template <class T>
struct TaskValue<Task<T>> {
  static_assert(!std::is_void_v<T>, "a call gives a value: return a Status where there is nothing else to say");
  using type = T;
};
template <class Make>
using TaskValueOf = typename TaskValue<std::invoke_result_t<Make&>>::type;

/// Waits on `caller` for a task on `home`. It lives in the caller's frame, which sleeps until the task has ended, and is the
/// message both there and back.
template <class T, class Make>
struct RemoteCall : Message {
  Runtime& home;
  Runtime& caller;
  Make& make;
  std::optional<T> result;
  std::coroutine_handle<> waiting;

  RemoteCall(Runtime& to, Runtime& from, Make& what) : home(to), caller(from), make(what) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    waiting = handle;
    run = [](Message& message) { start(work(static_cast<RemoteCall&>(message))); };
    home.send(*this);
  }
  T await_resume() { return std::move(*result); }

  static Task<void> work(RemoteCall& call) {
    {
      T value = co_await call.make();
      call.result.emplace(std::move(value));
    }
    call.run = [](Message& message) { static_cast<RemoteCall&>(message).waiting.resume(); };
    call.caller.send(call);  // from here on it may be gone
  }
};

/// What a plain thread waits for. Shared, since the task's last steps may come after the thread has gone on.
template <class T>
struct BlockingCall {
  std::mutex mutex;
  std::condition_variable done;
  std::optional<T> result;
};

template <class T, class Make>
Task<void> run_blocking(std::shared_ptr<BlockingCall<T>> call, Make make) {
  T value = co_await make();
  const std::lock_guard lock(call->mutex);
  call->result.emplace(std::move(value));
  call->done.notify_one();
}

}  // namespace detail

/// Runs `make()` on `home`, and gives its result to a coroutine on `caller`.
template <class Make>
Task<detail::TaskValueOf<Make>> on(Runtime& home, Runtime& caller, Make make) {
  using T = detail::TaskValueOf<Make>;
  if (&home == &caller) {
    T value = co_await make();
    co_return value;
  }
  detail::RemoteCall<T, Make> call(home, caller, make);
  T value = co_await call;
  co_return value;
}

/// Runs `make()` on `home` and blocks this thread (which must not be home's) until it has ended.
template <class Make>
detail::TaskValueOf<Make> call_blocking(Runtime& home, Make make) {
  using T = detail::TaskValueOf<Make>;
  const auto call = std::make_shared<detail::BlockingCall<T>>();
  home.post_remote([call, make] { start(detail::run_blocking<T, Make>(call, make)); });
  std::unique_lock lock(call->mutex);
  call->done.wait(lock, [&] { return call->result.has_value(); });
  return std::move(*call->result);
}

/// Runs a plain function on `home` and blocks this thread until it has returned.
template <class F>
std::invoke_result_t<F&> ask_blocking(Runtime& home, F function) {
  using T = std::invoke_result_t<F&>;
  const auto call = std::make_shared<detail::BlockingCall<T>>();
  home.post_remote([call, function]() mutable {
    T value = function();
    const std::lock_guard lock(call->mutex);
    call->result.emplace(std::move(value));
    call->done.notify_one();
  });
  std::unique_lock lock(call->mutex);
  call->done.wait(lock, [&] { return call->result.has_value(); });
  return std::move(*call->result);
}

}  // namespace brindle
