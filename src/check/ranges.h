// ranges.h: which blocks of a volume are damaged, and by what.
#pragma once

#include <map>
#include <string>

#include "base/units.h"

namespace brindle {

/// A page or a block that is not as it should be.
struct Bad {
  std::string kind;
  std::string note;
  u64 offset = 0;           // on the device; 0: it has no place
  u64 length = 0;
  bool unreadable = false;  // of a page: what it names is not known
  bool held = false;        // some volume or snapshot has it
};

/// Ranges of blocks, apart from each other, each with what is wrong there.
class Ranges {
 public:
  struct Piece {
    u64 end = 0;
    const Bad* bad = nullptr;
  };

  /// What was damaged before stays so.
  void add(u64 first, u64 end, const Bad* bad) {
    while (first < end) {
      auto next = pieces_.upper_bound(first);
      if (next != pieces_.begin() && std::prev(next)->second.end > first) {
        first = std::prev(next)->second.end;
        continue;
      }
      const u64 until = next == pieces_.end() ? end : std::min(end, next->first);
      const bool goes_on = next != pieces_.begin() && std::prev(next)->second.end == first && std::prev(next)->second.bad == bad;
      if (goes_on) {
        std::prev(next)->second.end = until;
      } else {
        pieces_[first] = {until, bad};
      }
      first = until;
    }
  }
  void erase(u64 first, u64 end) {
    if (first >= end) return;
    auto at = pieces_.upper_bound(first);
    if (at != pieces_.begin()) --at;
    while (at != pieces_.end() && at->first < end) {
      const u64 from = at->first;
      const Piece piece = at->second;
      if (piece.end <= first) {
        ++at;
        continue;
      }
      at = pieces_.erase(at);
      if (from < first) pieces_[from] = {first, piece.bad};
      if (piece.end > end) pieces_[end] = {piece.end, piece.bad};
    }
  }
  const std::map<u64, Piece>& pieces() const { return pieces_; }
  bool empty() const { return pieces_.empty(); }

 private:
  std::map<u64, Piece> pieces_;
};

}  // namespace brindle
