// remote.h: calls from one runtime to another, and from plain threads.
//
// Holds:  the call's coroutine runs on `home` from its first line to its last; the caller goes on where it was.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "runtime/runtime.h"

namespace brindle {

/// Runs `make()` (a function that returns a Task<T>) on `home`, and gives its result to a coroutine on `caller`.
template <class Make>
auto on(Runtime& home, Runtime& caller, Make make) -> decltype(make()) {
  using T = std::remove_cvref_t<decltype(make().operator co_await().await_resume())>;
  struct Call {
    Runtime& home;
    Runtime& caller;
    Make& make;
    std::optional<T> result;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      home.post_remote([this, handle] {
        const auto body = [](Call& call, std::coroutine_handle<> back) -> Task<void> {
          T value = co_await call.make();
          call.result.emplace(std::move(value));
          call.caller.post_remote([back] { back.resume(); });
        };
        start(body(*this, handle));
      });
    }
    T await_resume() { return std::move(*result); }
  };
  if (&home == &caller) {
    T value = co_await make();
    co_return value;
  }
  Call call{home, caller, make, std::nullopt};
  T value = co_await call;
  co_return value;
}

/// Runs `make()` on `home` and blocks this thread (which must not be home's) until it has ended.
template <class Make>
auto call_blocking(Runtime& home, Make make) {
  using T = std::remove_cvref_t<decltype(make().operator co_await().await_resume())>;
  std::mutex mutex;
  std::condition_variable done;
  std::optional<T> result;
  const auto body = [&]() -> Task<void> {
    T value = co_await make();
    const std::lock_guard lock(mutex);
    result.emplace(std::move(value));
    done.notify_one();
  };
  home.post_remote([&] { start(body()); });
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return result.has_value(); });
  return std::move(*result);
}

}  // namespace brindle
