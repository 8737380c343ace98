// label.h: how each device of a pool that lies on several begins: which pool, which member of how many, and which bytes are whose.
//
// It stands where a superblock stands in a pool on one device, and begins like one that uses a feature: a program that knows nothing
// of labels refuses the device, and never takes it for an empty one. The superblocks lie where the pool's addresses begin.
//
// Disk:   copy A at byte 0, copy B at `superblock_b_offset`, and nothing else in the first `label_area_bytes`. A copy is written and
//         flushed before the other one is touched. Every member tells of all of them, so the newest label of any counts.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "device/layout.h"

namespace brindle {

/// In `features.incompatible` of a label, and of no superblock: this is one device of several.
inline constexpr u64 feature_member = 1;
inline constexpr u64 label_bytes = block_size;
inline constexpr u64 member_name_max = 64;

struct MemberLabel {
  Uuid pool{};
  u64 generation = 0;  // rises when the pool's layout becomes longer
  u32 index = 0;       // which member this is
  Layout layout;
  std::vector<std::string> names;  // where the members were when this was written, for messages; of a long path the end
};

/// `label_bytes` of them.
std::vector<std::byte> encode_label(const MemberLabel& label);
/// Reads one copy. Fails: invalid (no label: something else, or a pool on one device), unsupported (a newer version or unknown
/// features), corrupt.
Result<MemberLabel> parse_label(Bytes block);

}  // namespace brindle
