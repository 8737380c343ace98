#include "runtime/sim_runtime.h"

namespace brindle {

namespace {
constexpr u64 busy_ns_max = 100 * microsecond_ns;  // that computing takes at once
constexpr u64 yield_ns_max = 40 * microsecond_ns;  // the device takes about as long for a call
}

bool SimRuntime::step_ready() {
  if (ready_.empty()) return false;
  std::swap(ready_[rng_.below(ready_.size())], ready_.back());
  Ready next = std::move(ready_.back());
  ready_.pop_back();
  if (next.handle) {
    next.handle.resume();
  } else {
    next.work();
  }
  return true;
}

bool SimRuntime::step() {
  const bool busy = busy_one_in_ != 0 && !ready_.empty() && !timers_.empty() &&
                    timers_.begin()->first <= now_ns_ + busy_ns_max && rng_.one_in(busy_one_in_);
  if (busy) move_on();
  if (step_ready()) return true;
  if (timers_.empty()) return false;
  move_on();
  return step_ready();
}

void SimRuntime::post_yielding(std::coroutine_handle<> handle) {
  if (busy_one_in_ == 0) {
    post(handle);
  } else {
    post_at(now_ns_ + rng_.below(yield_ns_max), handle);
  }
}

/// To when the next timer is due.
void SimRuntime::move_on() {
  now_ns_ = std::max(now_ns_, timers_.begin()->first);
  while (!timers_.empty() && timers_.begin()->first <= now_ns_) {
    ready_.push_back({timers_.begin()->second, {}});
    timers_.erase(timers_.begin());
  }
}

void SimRuntime::run(Task<void> task) {
  bool done = false;
  const auto body = [](Task<void> inner, bool& ended) -> Task<void> {
    co_await std::move(inner);
    ended = true;
  };
  start(body(std::move(task), done));
  while (!done) CHECK_NOTE(step(), "everything waits and nothing will ever wake it");
}

void SimRuntime::run_for(u64 ns) {
  const u64 end = now_ns_ + ns;
  for (;;) {
    if (step_ready()) continue;
    if (timers_.empty() || timers_.begin()->first > end) break;
    step();
  }
  now_ns_ = end;
}

void SimRuntime::drop() {
  ready_.clear();
  timers_.clear();
}

}  // namespace brindle
