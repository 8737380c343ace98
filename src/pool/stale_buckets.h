// stale_buckets.h: the buckets of the segment table that changed since they were written whole, the longest ago first.
//
// Holds:  1. The changes that the checkpoint of superblock generation `since` and later ones told are all that a reader needs to bring
//            them up to date.
//         2. A bucket that changes again keeps its place: each comes to its turn.
#pragma once

#include <deque>
#include <optional>
#include <unordered_set>

#include "base/units.h"

namespace brindle {

class StaleBuckets {
 public:
  /// The checkpoint of that generation, none below the last one, told of changes in the bucket.
  void add(u64 key, u64 generation) {
    if (waiting_.insert(key).second) queue_.push_back({key, generation});
  }
  bool empty() const { return queue_.empty(); }
  bool contains(u64 key) const { return waiting_.contains(key); }
  /// The key of the one that waits the longest.
  u64 front() const { return queue_.front().key; }
  void pop_front() {
    waiting_.erase(front());
    queue_.pop_front();
  }
  /// The first generation whose changes are still needed; none are where nothing is stale.
  std::optional<u64> since() const { return empty() ? std::nullopt : std::optional(queue_.front().since); }

 private:
  struct Stale {
    u64 key;
    u64 since;
  };
  std::deque<Stale> queue_;
  std::unordered_set<u64> waiting_;
};

}  // namespace brindle
