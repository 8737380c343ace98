// releases.h: what no checkpoint names any more, kept until everybody who may still look at it has ended.
//
// Holds:  What was added is let out in the order of adding, and none of it while somebody is inside who entered before it was added.
// Caller: Space. (Who looks has a ReadGuard.)
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/units.h"

namespace brindle {

class Releases {
 public:
  /// Numbers of chunks and of segments.
  struct Release {
    std::vector<u64> chunks;
    std::vector<u64> segments;
  };

  // --- readers
  /// Somebody begins to look; `leave` wants the generation that this gives.
  u64 enter();
  void leave(u64 generation);
  /// Who enters from now on looks at nothing that dies by this seal.
  void seal() { sealed_generation_ = ++generation_; }
  /// Somebody who looks (but for one who entered at `own`) entered before the last seal.
  bool read_from_before_seal(u64 own) const;

  // --- what waits for them
  void add(Release release) { waiting_.push_back({generation_++, std::move(release)}); }
  /// The oldest that waits for nobody any more.
  std::optional<Release> next();
  bool empty() const { return waiting_.empty(); }
  u64 chunks() const;

 private:
  struct Waiting {
    u64 generation;  // of the last who may look
    Release release;
  };
  struct Readers {
    u64 generation;
    u64 inside;
  };

  std::deque<Waiting> waiting_;
  std::vector<Readers> readers_;  // of each generation that has any, the oldest first: as good as always one
  u64 generation_ = 1;
  u64 sealed_generation_ = 1;  // of who begins after the last seal
};

}  // namespace brindle
