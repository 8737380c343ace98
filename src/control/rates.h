// rates.h: requests and bytes a second, from counters that are looked at only when somebody asks.
//
// Holds:  no timer runs. Who asks often gets the rate since a sample of 1 to 10 seconds ago. Who asks for the first time in
//         a while, while there is traffic, waits a tenth of a second for a second sample.
// Caller: any thread but a reactor's.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>

#include "volume/engine.h"

namespace brindle::control {

struct Rates {
  u64 reads = 0;  // a second
  u64 writes = 0;
  u64 read_bytes = 0;
  u64 write_bytes = 0;
};

class RateMeter {
 public:
  using Clock = std::chrono::steady_clock;
  /// `ask` gives the counters now; `status` is set to the last that it gave.
  Rates rates(const std::function<PoolStatus()>& ask, PoolStatus& status);

 private:
  struct Sample {
    Clock::time_point at;
    u64 reads = 0, writes = 0, read_bytes = 0, write_bytes = 0;
  };
  static Sample sample(const PoolStatus& status);
  static Rates between(const Sample& from, const Sample& to);

  std::mutex mutex_;
  std::optional<Sample> older_;
  std::optional<Sample> newer_;
};

}  // namespace brindle::control
