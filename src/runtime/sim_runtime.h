// sim_runtime.h: a runtime whose time is virtual and whose order is drawn from a seed, so a run can be had again.
//
// Holds:  1. What is ready runs in random order; time moves only when nothing is ready, or now and then as if computing took
//            some (`busy`).
//         2. The same seed and the same calls give the same run.
// Caller: one thread.
#pragma once

#include <map>
#include <vector>

#include "base/rng.h"
#include "runtime/runtime.h"

namespace brindle {

class SimRuntime final : public Runtime {
 public:
  explicit SimRuntime(u64 seed) : rng_(seed) {}

  u64 now_ns() override { return now_ns_; }
  u64 wall_ns() override { return wall_start_ns + now_ns_; }
  void post(std::coroutine_handle<> handle) override { ready_.push_back({handle, {}}); }
  void post_yielding(std::coroutine_handle<> handle) override;
  void post_at(u64 at_ns, std::coroutine_handle<> handle) override {
    timers_.emplace(std::max(at_ns, now_ns_), handle);
  }
  void post_remote(std::function<void()> work) override { ready_.push_back({{}, std::move(work)}); }

  /// Starts `task` and runs until it has ended. What else was started goes on in later runs.
  void run(Task<void> task);
  /// Runs until nothing is ready and no timer is due within `ns`, and moves the time on by that much.
  void run_for(u64 ns);
  /// Forgets everything that was to run: a crash. The coroutines leak, as they do in a process that dies.
  void drop();
  Rng& rng() { return rng_; }
  /// Before one step in so many, what is due soon becomes ready although something else is, and who yields waits a little; 0:
  /// never. So work that needs no device meets the ends of the calls of the device.
  void busy(u64 one_in) { busy_one_in_ = one_in; }
  bool step();

 private:
  static constexpr u64 wall_start_ns = 1'700'000'000 * second_ns;
  struct Ready {
    std::coroutine_handle<> handle;
    std::function<void()> work;
  };
  bool step_ready();
  void move_on();

  Rng rng_;
  u64 busy_one_in_ = 0;
  u64 now_ns_ = 1;
  std::vector<Ready> ready_;
  std::multimap<u64, std::coroutine_handle<>> timers_;
};

}  // namespace brindle
