// seen.h: which crash states are known, and what was in them; one table for all workloads and all processes.
//
// Holds:  a state is judged once, whichever workload leads to it: what an engine finds on a disk depends on the disk alone.
//         (Two processes that come upon the same one at the same time may both judge it; it counts once.)
// Caller: any process that was forked after the table was made.
#pragma once

#include <atomic>
#include <optional>

#include "base/units.h"

namespace brindle::crash {

class Seen {
 public:
  static constexpr u64 failed = 1;  // a content that means: it could not be opened, or not used

  Seen();
  ~Seen();
  Seen(const Seen&) = delete;
  Seen& operator=(const Seen&) = delete;

  /// What is in the state, where that is known.
  std::optional<u64> find(u64 state) const;
  /// True for the first who asks.
  bool claim(u64 state);
  void settle(u64 state, u64 content);

 private:
  struct Slot {
    std::atomic<u64> state;    // 0: none
    std::atomic<u64> content;  // 0: not known yet
  };
  static constexpr u64 slots = u64{1} << 23;
  Slot* at(u64 state) const;
  Slot* slots_;
};

}  // namespace brindle::crash
