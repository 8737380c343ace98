// bits.h: bitmaps in words of 64 bits, the lowest bit first, as they stand on disk.
#pragma once

#include <bit>
#include <vector>

#include "base/units.h"

namespace brindle {

inline bool bit_at(const std::vector<u64>& bitmap, u64 at) {
  return at / 64 < bitmap.size() && (bitmap[at / 64] >> (at % 64) & 1) != 0;
}
inline void set_bit(std::vector<u64>& bitmap, u64 at) { bitmap[at / 64] |= u64{1} << (at % 64); }
inline u64 count_set(const std::vector<u64>& bitmap) {
  u64 count = 0;
  for (u64 word : bitmap) count += static_cast<u64>(std::popcount(word));
  return count;
}

}  // namespace brindle
