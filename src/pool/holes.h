// holes.h: blocks in closed chunks in which nothing lives, given out one after the other, for compaction to copy into.
//
// Holds:  1. A chunk that was added stays what it is, whatever dies in it, until `leave`.
//         2. No block is given twice.
// Caller: compaction alone; it adds chunks only while Space::settled().
#pragma once

#include <vector>

#include "pool/space.h"

namespace brindle {

class Holes {
 public:
  explicit Holes(Space& space) : space_(space) {}

  /// False: it holds something that cannot be found, and is left alone.
  bool add(u64 chunk);
  u64 left() const { return left_; }
  struct Run {
    u64 offset = 0;  // byte address
    u64 blocks = 0;
  };
  /// Takes `blocks` that lie together, or as many as there are; none where not even `least` are.
  Run take(u64 blocks, u64 least);
  void leave();

 private:
  // Those of one length, given in the order in which they came: by chunks, and upward there. There are tens of thousands of a block or two.
  struct Runs {
    std::vector<u64> offsets;
    size_t given = 0;
  };

  void put(u64 offset, u64 blocks);

  Space& space_;
  std::vector<u64> chunks_;
  std::vector<Runs> of_length_;  // by blocks, up to a whole chunk
  std::vector<u64> lengths_;     // of which there are any: a bit each
  u64 left_ = 0;
};

}  // namespace brindle
