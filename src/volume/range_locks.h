// range_locks.h: which blocks of a volume have writes under way.
//
// Holds:  whole-block writes may overlap each other; a write of part of a block holds its blocks alone, from its read until
//         it is applied. While a bar is up nobody holds blocks alone: what a volume holds may be exchanged as a whole.
#pragma once

#include <list>
#include <optional>

#include "runtime/sync.h"

namespace brindle {

class RangeLocks {
 public:
  struct Range {
    u64 first = 0;
    u64 end = 0;
    bool alone = false;
  };
  using Held = std::list<Range>::iterator;

  explicit RangeLocks(Runtime& runtime) : freed_(runtime) {}

  /// The range, once nothing is in its way; nothing otherwise: wait for `freed`, and try again.
  std::optional<Held> try_acquire(Range range) {
    if (blocked(range) || (range.alone && bars_ > 0)) return std::nullopt;
    alone_ += range.alone ? 1 : 0;
    ranges_.push_front(range);
    return ranges_.begin();
  }
  Signal::Wait freed() { return freed_.wait(); }
  /// From now on nobody gets blocks alone; once `none_alone`, nobody has any.
  void bar() { ++bars_; }
  bool none_alone() const { return alone_ == 0; }
  void unbar() {
    --bars_;
    freed_.notify_all();
  }
  void release(Held held) {
    alone_ -= held->alone ? 1 : 0;
    ranges_.erase(held);
    freed_.notify_all();
  }

 private:
  bool blocked(const Range& range) const {
    if (!range.alone && alone_ == 0) return false;
    for (const Range& other : ranges_) {
      if ((range.alone || other.alone) && other.first < range.end && range.first < other.end) return true;
    }
    return false;
  }

  std::list<Range> ranges_;
  u64 alone_ = 0;
  u64 bars_ = 0;
  Signal freed_;
};

}  // namespace brindle
