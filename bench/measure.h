// measure.h: how long requests took, and the figures that are drawn from it, as one JSON object.
//
// Holds:  what `add` got before `begin` is forgotten, so that a warm-up leaves no trace.
// Caller: one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/units.h"

namespace brindle::bench {

inline u64 now_ns() { return static_cast<u64>(std::chrono::steady_clock::now().time_since_epoch().count()); }

class Measure {
 public:
  void begin(u64 now) {
    took_.clear();
    began_ns_ = now;
  }
  void add(u64 ns) { took_.push_back(static_cast<u32>(std::min<u64>(ns, ~u32{0}))); }
  /// One more pass, with time between the two that is not measured.
  void merge(const Measure& other) {
    took_.insert(took_.end(), other.took_.begin(), other.took_.end());
    elapsed_ns_ += other.elapsed_ns_;
  }
  void end(u64 now) { elapsed_ns_ += now - began_ns_; }

  u64 count() const { return took_.size(); }
  double seconds() const { return static_cast<double>(elapsed_ns_) / 1e9; }
  double per_second() const { return elapsed_ns_ == 0 ? 0 : static_cast<double>(took_.size()) / seconds(); }
  /// Microseconds; `part` of 1.
  double at(double part) {
    if (took_.empty()) return 0;
    const auto nth = took_.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(took_.size() - 1));
    std::nth_element(took_.begin(), nth, took_.end());
    return *nth / 1e3;
  }
  std::string json() {
    return fmt::format(
        R"("iops": {:.1f}, "count": {}, "seconds": {:.4f}, "p50_us": {:.2f}, "p99_us": {:.2f}, "p999_us": {:.2f}, "max_us": {:.2f})",
        per_second(), count(), seconds(), at(0.5), at(0.99), at(0.999), at(1));
  }

 private:
  std::vector<u32> took_;
  u64 began_ns_ = 0;
  u64 elapsed_ns_ = 0;
};

}  // namespace brindle::bench
