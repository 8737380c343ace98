// fair_runtime.h: a runtime with virtual time in which what was ready first runs first: one fixed, fair schedule.
//
// The simulator draws its order from a seed to see many orders of one history; here one order must do, since what is varied
// is what a crash leaves of it.
//
// Holds:  the same calls give the same run. Time moves only when nothing is ready.
// Caller: one thread.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "runtime/runtime.h"

namespace brindle::crash {

class FairRuntime final : public Runtime {
 public:
  explicit FairRuntime(u64 now_ns = 1) : now_ns_(now_ns) {}

  u64 now_ns() override { return now_ns_; }
  u64 wall_ns() override { return wall_start_ns + now_ns_; }
  void post(std::coroutine_handle<> handle) override { ready_.push_back({handle, {}}); }
  void post_at(u64 at_ns, std::coroutine_handle<> handle) override {
    timers_.emplace(std::max(at_ns, now_ns_), handle);
  }
  void post_remote(std::function<void()> work) override { ready_.push_back({{}, std::move(work)}); }

  /// One turn. False: everything waits, and nothing will ever wake it.
  bool step() {
    if (ready_.empty()) {
      if (timers_.empty()) return false;
      now_ns_ = std::max(now_ns_, timers_.begin()->first);
      while (!timers_.empty() && timers_.begin()->first <= now_ns_) {
        ready_.push_back({timers_.begin()->second, {}});
        timers_.erase(timers_.begin());
      }
    }
    const Ready next = std::move(ready_.front());
    ready_.pop_front();
    if (next.handle) {
      next.handle.resume();
    } else {
      next.work();
    }
    return true;
  }

  /// Runs until the task has ended. Nothing: it waits for what never comes, or for longer than anybody would.
  template <class T>
  std::optional<T> run(Task<T> task) {
    // On the heap, and left there by a task that never ends: it may still be resumed.
    auto* const result = new std::optional<T>();
    const auto body = [](Task<T> inner, std::optional<T>& out) -> Task<void> {
      T value = co_await std::move(inner);
      out.emplace(std::move(value));
    };
    start(body(std::move(task), *result));
    const u64 until_ns = now_ns_ + patience_ns;
    while (!*result && now_ns_ < until_ns && step()) {
    }
    if (!*result) return std::nullopt;
    std::optional<T> out = std::move(*result);
    delete result;
    return out;
  }

  /// Runs whatever is due within `ns`, and moves the time on by that much.
  void run_for(u64 ns) {
    const u64 end_ns = now_ns_ + ns;
    while (!ready_.empty() || (!timers_.empty() && timers_.begin()->first <= end_ns)) step();
    now_ns_ = end_ns;
  }

 private:
  static constexpr u64 wall_start_ns = 1'700'000'000 * second_ns;
  static constexpr u64 patience_ns = 3600 * second_ns;
  struct Ready {
    std::coroutine_handle<> handle;
    std::function<void()> work;
  };
  u64 now_ns_;
  std::deque<Ready> ready_;
  std::multimap<u64, std::coroutine_handle<>> timers_;
};

}  // namespace brindle::crash
