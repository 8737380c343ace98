// members.h: whether devices are the members of one pool, all of them, and in which order.
//
// Holds:  what is refused is named: which device, why, and what to do.
// Caller: whoever opens a pool of several devices; nothing has been written then.
#pragma once

#include <array>
#include <optional>

#include "format/label.h"

namespace brindle {

/// A device as it was found.
struct FoundMember {
  std::string name;
  u64 size = 0;
  bool grows = false;  // a file: it may be shorter than its label allows
  std::array<Result<MemberLabel>, 2> copies;
};
/// Parses both copies of what a device begins with; short where the device is.
std::array<Result<MemberLabel>, 2> parse_labels(Bytes front);

struct Members {
  MemberLabel label;          // the newest
  std::vector<size_t> order;  // by member: which of those found
  bool stale = false;         // a copy is missing or older: write them all
};
/// The label that counts of one device. Fails: as parse_label.
Result<MemberLabel> label_of(const std::array<Result<MemberLabel>, 2>& copies);
/// Fails: invalid (one is missing, there twice, of another pool or of none), unsupported, corrupt.
Result<Members> join_members(std::span<const FoundMember> found);

}  // namespace brindle
