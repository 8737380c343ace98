// page.h: the pages of a map as they stand on disk: leaf, patch and node.
//
// Holds:  1. A reference to a page carries its checksum and its birth, so whether a page is older than a snapshot is
//            known without reading it.
//         2. Pages are packed into slots of 128 bytes; a reference gives the exact length.
//
//   leaf    header, then runs {first entry, count, first name}, or all 512 names; then a checksum for each block held
//   patch   header, the base's reference, a bitmap of 512 bits, then the names, then the checksums, one for each bit;
//           name 0 hides. Without a base (24 zero bytes) it is a leaf with few blocks, and hides nothing.
//   node    header, a bitmap of 256 bits, then a reference for each bit
#pragma once

#include <array>
#include <bitset>
#include <vector>

#include "base/codec.h"
#include "base/result.h"
#include "format/name.h"

namespace brindle {

enum class PageKind : u8 { none = 0, leaf = 1, patch = 2, node = 3 };

struct PageRef {
  SlotName name;      // the first slot
  u64 birth : 56 = 0;  // number of the batch that dirtied it
  PageKind kind : 8 = PageKind::none;
  u32 length = 0;     // bytes
  u32 crc = 0;

  explicit operator bool() const { return kind != PageKind::none; }
  u64 slots() const { return div_up(length, page_slot_size); }
  friend bool operator==(const PageRef&, const PageRef&) = default;
};
inline constexpr u64 page_ref_size = 24;
inline constexpr u64 page_length_max = 16 * KiB;

void encode_page_ref(Writer& to, const PageRef& ref);
/// 24 zero bytes are none; on nonsense the reader fails.
PageRef decode_page_ref(Reader& from);

struct LeafData {
  std::array<SlotName, leaf_blocks> names{};  // none: a hole
  std::array<u32, leaf_blocks> crcs{};        // of holes: zero
};

/// Packed entries over a leaf, or over nothing: the n-th set bit of `has` belongs to names[n] and crcs[n]. A name of none
/// hides what the base has.
struct PatchData {
  PageRef base;
  std::array<u64, leaf_blocks / 64> has{};
  std::vector<SlotName> names;
  std::vector<u32> crcs;

  bool covers(u32 entry) const { return (has[entry / 64] >> (entry % 64) & 1) != 0; }
  /// How many set bits stand before `entry`.
  u32 rank(u32 entry) const {
    u32 count = 0;
    for (u32 word = 0; word < entry / 64; ++word) count += static_cast<u32>(std::popcount(has[word]));
    return count + static_cast<u32>(std::popcount(has[entry / 64] & ((u64{1} << (entry % 64)) - 1)));
  }
};

using NodeData = std::array<PageRef, node_links>;
/// Leaves below a node of that level; the nodes of level 0 name leaves.
constexpr u64 span_of(int level) { return u64{1} << (8 * (level + 1)); }

std::vector<std::byte> encode_leaf(u64 birth, const LeafData& leaf);
std::vector<std::byte> encode_patch(u64 birth, const PatchData& patch);
std::vector<std::byte> encode_node(u64 birth, const NodeData& node);

/// Each fails with corrupt where the bytes are not such a page of that birth. The checksum is the caller's to compare.
Result<LeafData> decode_leaf(Bytes bytes, u64 birth);
Result<PatchData> decode_patch(Bytes bytes, u64 birth);
Result<NodeData> decode_node(Bytes bytes, u64 birth);

}  // namespace brindle
