// pace.h: writes go on while a checkpoint is under way, in step with it.
//
// A checkpoint of maps far larger than their memory takes its time: it reads each leaf in which something was overwritten. Were writes to
// go on as fast as they can meanwhile, they would soon have used up the memory for changed pages, and all wait for its end. So
// they get what is left of that memory bit by bit, as far as the checkpoint has come.
//
// Holds:  1. Below `begin_bytes` of changed pages nobody waits, whatever is under way.
//         2. Without a checkpoint under way nobody waits below the bound.
#pragma once

#include <algorithm>

#include "base/units.h"

namespace brindle {

/// What a checkpoint has done and what it still has to do, and what changes meanwhile.
struct CheckpointWork {
  u64 dirty_bytes = 0;   // of changed pages in memory, those that it still has to write among them
  u64 sealed_bytes = 0;  // of those
  u64 settled = 0;       // pages that were read since the start for what was overwritten in them
  u64 owed = 0;          // pages that are still to be read for it
};

class Pace {
 public:
  explicit Pace(u64 bytes_max) : bytes_max_(bytes_max), begin_bytes_(begin_min()) {}

  /// So many bytes of changed pages ask for a checkpoint.
  u64 begin_bytes() const { return begin_bytes_; }

  // --- as a checkpoint goes on
  void begun(const CheckpointWork& now) {
    phase_ = Phase::settling;
    start_ = now;
  }
  void sealed(const CheckpointWork& now) {
    phase_ = Phase::writing;
    if (start_.dirty_bytes >= begin_bytes_) aim(now.sealed_bytes);
  }
  /// The device has the pages.
  void written() {
    if (phase_ == Phase::writing) phase_ = Phase::ending;
  }
  void ended() { phase_ = Phase::none; }

  /// May one more page be changed?
  bool admits(const CheckpointWork& now) const {
    switch (phase_) {
      case Phase::settling: return now.dirty_bytes < begin_bytes_ || now.dirty_bytes < settling_max(now);
      case Phase::writing: break;  // what is written makes room by itself
      case Phase::ending: return now.dirty_bytes < begin_bytes_ + (bytes_max_ - begin_bytes_) / 2;  // the rest is for the next one
      case Phase::none: break;
    }
    return now.dirty_bytes < bytes_max_;
  }

 private:
  enum class Phase : u8 { none, settling, writing, ending };

  u64 begin_min() const { return bytes_max_ / 8 * 5; }
  u64 begin_max() const { return bytes_max_ / 8 * 7; }

  /// The later the next checkpoint begins, the more changes of one page it writes as one. So it is to begin as late as leaves room for what
  /// comes in until it is sealed, which this time made it so many bytes.
  void aim(u64 sealed_bytes) {
    const u64 wanted = bytes_max_ / 16 * 15;
    const u64 step = (std::max(sealed_bytes, wanted) - std::min(sealed_bytes, wanted)) / 2;
    begin_bytes_ = sealed_bytes > wanted ? begin_bytes_ - std::min(step, begin_bytes_) : begin_bytes_ + step;
    begin_bytes_ = std::clamp(begin_bytes_, begin_min(), begin_max());
  }

  /// In step with the pages that are read. An eighth is for what is applied from the last of them to the first that is written.
  u64 settling_max(const CheckpointWork& now) const {
    const u64 from = std::max(start_.dirty_bytes, begin_bytes_);
    const u64 room = bytes_max_ - std::min(bytes_max_, from);
    const u64 settled = now.settled - start_.settled;
    const u64 all = settled + now.owed;
    const double part = all > 0 ? static_cast<double>(settled) / static_cast<double>(all) : 1.0;
    return from + static_cast<u64>(static_cast<double>(room - room / 8) * part);
  }

  u64 bytes_max_;
  u64 begin_bytes_;
  Phase phase_ = Phase::none;
  CheckpointWork start_;
};

}  // namespace brindle
