// range_locks.h: which blocks of a volume have writes under way.
//
// Holds:  whole-block writes may overlap each other; a write of part of a block holds its blocks alone, from its read until
//         it is applied. While a bar is up nobody holds blocks alone: what a volume holds may be exchanged as a whole.
#pragma once

#include <boost/intrusive/list.hpp>

#include "runtime/sync.h"

namespace brindle {

class RangeLocks {
 public:
  /// Belongs to who asks for it, and stays where it is until it is released.
  struct Range : boost::intrusive::list_base_hook<> {
    Range(u64 first_block, u64 end_block, bool is_alone) : first(first_block), end(end_block), alone(is_alone) {}
    u64 first;
    u64 end;
    bool alone;
  };

  explicit RangeLocks(Runtime& runtime) : freed_(runtime) {}

  /// False: something is in its way.
  bool try_acquire(Range& range) {
    if (blocked(range) || (range.alone && bars_ > 0)) return false;
    alone_ += range.alone ? 1 : 0;
    ranges_.push_front(range);
    return true;
  }
  /// Waits until nothing is in its way.
  Task<void> acquire(Range& range) {
    while (!try_acquire(range)) co_await freed_.wait();
  }
  Signal::Wait freed() { return freed_.wait(); }
  /// From now on nobody gets blocks alone; once `none_alone`, nobody has any.
  void bar() { ++bars_; }
  bool none_alone() const { return alone_ == 0; }
  void unbar() {
    --bars_;
    freed_.notify_all();
  }
  void release(Range& held) {
    alone_ -= held.alone ? 1 : 0;
    ranges_.erase(ranges_.iterator_to(held));
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

  boost::intrusive::list<Range, boost::intrusive::constant_time_size<false>> ranges_;
  u64 alone_ = 0;
  u64 bars_ = 0;
  Signal freed_;
};

}  // namespace brindle
