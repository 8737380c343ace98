// name.h: what names a block or a page for life, and how the pool's space is cut.
//
// Holds:  1. A name is (segment, slot). Segment numbers rise and are never given twice, slots are given upward: of two
//            blocks the one with the lower name is the older. Reclaim rests on this ("a name is a birth date").
//         2. A name says nothing about where its bytes are; the segment table does.
#pragma once

#include <compare>

#include "base/units.h"

namespace brindle {

/// Names a block (slots of 4 KiB) or the first slot of a page (slots of 128 bytes). Zero: none, a hole.
struct SlotName {
  u64 raw = 0;

  static constexpr SlotName of(u64 segment, u64 slot) { return {segment << 16 | slot}; }
  constexpr u64 segment() const { return raw >> 16; }
  constexpr u32 slot() const { return static_cast<u32>(raw & 0xffff); }
  constexpr explicit operator bool() const { return raw != 0; }
  constexpr SlotName plus(u64 slots) const { return {raw + slots}; }
  friend constexpr auto operator<=>(SlotName, SlotName) = default;
};

inline constexpr u64 page_slot_size = 128;
inline constexpr u64 slots_a_segment_max = u64{1} << 16;
inline constexpr u64 segment_number_max = (u64{1} << 40) - 1;

/// A chunk is a piece of the device; a whole segment fills one, compacted ones share one.
inline constexpr u64 chunk_size_min = 512 * KiB;
inline constexpr u64 chunk_size_max = 8 * MiB;  // 65,536 page slots, as many as a name can tell apart

/// The chunk size of a new pool: small pools want many chunks, large ones few. A dozen chunks are always kept empty or open, and
/// what they take of a small pool is missing where its blocks are to die: with twice as many chunks it is half as much.
constexpr u64 chunk_size_for(u64 pool_size) {
  u64 size = chunk_size_min;
  while (size < chunk_size_max && pool_size / size > 512) size *= 2;
  return size;
}

inline constexpr u64 leaf_blocks = 512;  // blocks that a leaf names: 2 MiB
inline constexpr u64 node_links = 256;

}  // namespace brindle
