// bitmap.h: bits in words of 64, the lowest first: as the segment table has them, in memory and on disk.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "base/units.h"

namespace brindle {

/// What lies behind the end is not set.
inline bool bit_at(const std::vector<u64>& bitmap, u64 at) {
  return at / 64 < bitmap.size() && (bitmap[at / 64] >> (at % 64) & 1) != 0;
}

inline void set_bit(std::vector<u64>& bitmap, u64 at) { bitmap[at / 64] |= u64{1} << (at % 64); }

inline void set_bit_to(std::vector<u64>& bitmap, u64 at, bool on) {
  bitmap[at / 64] = (bitmap[at / 64] & ~(u64{1} << (at % 64))) | u64{on} << (at % 64);
}

/// Those of [from, to).
inline void clear_bits(std::vector<u64>& bitmap, u64 from, u64 to) {
  while (from < to) {
    const u64 end = std::min(to, round_down(from, 64) + 64);
    bitmap[from / 64] &= ~(~u64{0} >> (64 - (end - from)) << (from % 64));
    from = end;
  }
}

/// How many of [from, to) are set; `word(i)` is the i-th word of the bitmap.
template <class Word>
u64 count_bits_of(const Word& word, u64 from, u64 to) {
  if (from >= to) return 0;
  const auto ones = [](u64 bits) { return static_cast<u64>(std::popcount(bits)); };
  const u64 first = from / 64;
  const u64 last = (to - 1) / 64;
  const u64 of_first = ~u64{0} << (from % 64);
  const u64 of_last = ~u64{0} >> (63 - (to - 1) % 64);
  if (first == last) return ones(word(first) & of_first & of_last);
  u64 count = ones(word(first) & of_first) + ones(word(last) & of_last);
  for (u64 at = first + 1; at < last; ++at) count += ones(word(at));
  return count;
}

inline u64 count_bits(const std::vector<u64>& bitmap, u64 from, u64 to) {
  return count_bits_of([&bitmap](u64 at) { return bitmap[at]; }, from, to);
}

inline u64 count_set(const std::vector<u64>& bitmap) { return count_bits(bitmap, 0, bitmap.size() * 64); }

/// The first of [from, to) that is set, or is not; `to` where there is none. `word(i)` is the i-th word of the bitmap.
template <class Word>
u64 next_bit_of(const Word& word, bool on, u64 from, u64 to) {
  while (from < to) {
    const u64 bits = (on ? word(from / 64) : ~word(from / 64)) >> (from % 64);
    if (bits != 0) return std::min(to, from + static_cast<u64>(std::countr_zero(bits)));
    from = round_down(from, 64) + 64;
  }
  return to;
}

inline u64 next_bit(const std::vector<u64>& bitmap, bool on, u64 from, u64 to) {
  return next_bit_of([&bitmap](u64 at) { return bitmap[at]; }, on, from, to);
}

}  // namespace brindle
