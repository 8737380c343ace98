// Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), with complements only:
// what must stay together is seldom what lies together.
#include "sim/shrink.h"

#include <algorithm>

namespace brindle::sim {

Shrunk shrink(const History& history, const Failing& first, const Try& attempt, std::chrono::seconds at_most) {
  const auto end = std::chrono::steady_clock::now() + at_most;
  Shrunk best;
  best.why = first.why;
  for (const Op& op : history.ops) best.keep.push_back(op.index);
  const auto fails = [&](std::vector<u64> keep) {
    ++best.tries;
    const auto failing = attempt(keep_only(history, keep));
    if (!failing) return false;
    // What comes after the phase that failed was never played.
    std::erase_if(keep, [&](u64 index) { return index > failing->failed_at; });
    best.keep = std::move(keep);
    best.why = failing->why;
    return true;
  };
  // What the first play never came to, at once.
  if (first.failed_at != ~u64{0}) {
    std::vector<u64> keep = best.keep;
    std::erase_if(keep, [&](u64 index) { return index > first.failed_at; });
    if (keep.size() < best.keep.size()) static_cast<void>(fails(std::move(keep)));
  }
  for (size_t size = std::max<size_t>(best.keep.size() / 2, 1);;) {
    bool shorter = false;
    for (size_t from = 0; from < best.keep.size() && std::chrono::steady_clock::now() < end;) {
      std::vector<u64> keep = best.keep;
      const auto begin = keep.begin() + static_cast<std::ptrdiff_t>(from);
      keep.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(size, keep.size() - from)));
      if (!keep.empty() && fails(std::move(keep))) {
        shorter = true;
      } else {
        from += size;
      }
    }
    if (std::chrono::steady_clock::now() >= end) break;
    if (size == 1 && !shorter) break;
    size = std::max<size_t>(size / 2, 1);
  }
  return best;
}

}  // namespace brindle::sim
