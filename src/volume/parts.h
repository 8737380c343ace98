// parts.h: how a long request is cut. Each part is written, or looked up, at one instant; several are under way at a time.
#pragma once

#include "base/units.h"

namespace brindle {

inline constexpr u64 part_bytes = 256 * KiB;
inline constexpr u64 parts_at_once = 8;
inline constexpr u64 part_blocks_max = part_bytes / block_size + 1;  // where it begins and ends within a block

}  // namespace brindle
