// bitmap.h: bits in words of 64, as the segment table has them.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "base/units.h"

namespace brindle {

inline void set_bit_to(std::vector<u64>& bitmap, u64 at, bool on) {
  bitmap[at / 64] = (bitmap[at / 64] & ~(u64{1} << (at % 64))) | u64{on} << (at % 64);
}

/// The first of [from, to) that is set, or is not; `to` where there is none.
inline u64 next_bit(const std::vector<u64>& bitmap, bool on, u64 from, u64 to) {
  while (from < to) {
    const u64 word = (on ? bitmap[from / 64] : ~bitmap[from / 64]) >> (from % 64);
    if (word != 0) return std::min(to, from + static_cast<u64>(std::countr_zero(word)));
    from = round_down(from, 64) + 64;
  }
  return to;
}

}  // namespace brindle
