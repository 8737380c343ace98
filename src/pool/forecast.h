// forecast.h: how long it still takes until room is made, judged by how long each part took before.
//
//   copying ─► reading what is owed ─► writing pages ─► tables, flushes
//
// Holds:  1. It only tells: whatever it says, nothing but the speed of writes depends on it.
#pragma once

#include <algorithm>

#include "pool/pace.h"
#include "runtime/runtime.h"

namespace brindle {

class Forecast {
 public:
  // --- as compaction and a checkpoint go on
  void copying(u64 now_ns, u64 bytes) {
    copying_bytes_ = bytes;
    at_ns_ = now_ns;
  }
  void copied(u64 now_ns) {
    if (copying_bytes_ > 0) learn(copy_ns_, static_cast<double>(now_ns - at_ns_) / static_cast<double>(copying_bytes_));
    copying_bytes_ = 0;
  }
  void begun(u64 now_ns, const CheckpointWork& now) {
    phase_ = Phase::reading;
    step(now_ns);
    units_ = now.settled;
  }
  void sealed(u64 now_ns, const CheckpointWork& now) {
    learn_each(read_ns_, now_ns, now.settled - units_);
    phase_ = Phase::writing;
    step(now_ns);
    units_ = now.sealed_bytes;
  }
  void written(u64 now_ns) {
    if (phase_ != Phase::writing) return;  // the checkpoint of an opening
    learn_each(write_ns_, now_ns, units_);
    phase_ = Phase::ending;
    step(now_ns);
  }
  void ended(u64 now_ns) {
    if (phase_ == Phase::ending) learn(end_ns_, static_cast<double>(now_ns - step_ns_));
    phase_ = Phase::none;
  }

  /// Nanoseconds until what is being copied and what is dead can be written over.
  double left_ns(u64 now_ns, const CheckpointWork& now) const {
    double left = end_ns_;
    switch (phase_) {
      case Phase::none:
      case Phase::reading: left += static_cast<double>(now.owed) * read_ns_ + static_cast<double>(now.dirty_bytes) * write_ns_; break;
      case Phase::writing: left += static_cast<double>(now.sealed_bytes) * write_ns_; break;
      case Phase::ending: left = rest_of(end_ns_, now_ns - step_ns_); break;
    }
    const double copy_ns = copy_ns_ > 0 ? copy_ns_ : first_copy_ns;
    return left + rest_of(static_cast<double>(copying_bytes_) * copy_ns, now_ns - at_ns_);
  }

 private:
  enum class Phase : u8 { none, reading, writing, ending };
  static constexpr u64 units_min = 64;           // fewer tell nothing of one
  static constexpr double first_copy_ns = 0.2;  // a byte, before anything was copied: as memory does it

  void step(u64 now_ns) { step_ns_ = now_ns; }
  static void learn(double& what, double ns) { what = what == 0 ? ns : (what + ns) / 2; }
  void learn_each(double& what, u64 now_ns, u64 units) {
    if (units >= units_min) learn(what, static_cast<double>(now_ns - step_ns_) / static_cast<double>(units));
  }
  static double rest_of(double all_ns, u64 gone_ns) { return std::max(0.0, all_ns - static_cast<double>(gone_ns)); }

  Phase phase_ = Phase::none;
  u64 copying_bytes_ = 0;  // 0: nothing is being copied
  u64 at_ns_ = 0;          // since when it copies
  u64 step_ns_ = 0;        // since when it is in this phase
  u64 units_ = 0;
  double copy_ns_ = 0;   // a byte
  double read_ns_ = 0;   // a page
  double write_ns_ = 0;  // a byte
  double end_ns_ = 0;
};

}  // namespace brindle
