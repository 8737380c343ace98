// staging.h: memory that outlives the process, in which writes wait for the device.
//
//   memory   │ header (4 KiB) │ descriptors, 64 bytes each │ blocks: a ring │
//
// Holds:  1. An entry counts from the moment its descriptor says so, which is after its bytes are there, until `drop`. A process that is
//            killed in between leaves it to the next one, wherever it was cut off.
//         2. Entries leave the ring in the order in which they came, whichever is dropped first.
//         3. What stands there is believed only for the same file, since the same start of the machine, and with a checksum that is right.
// Caller: one thread.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <vector>

#include <sys/uio.h>

#include "base/units.h"
#include "base/uuid.h"

namespace brindle {

/// For which file they are. All of it must be the same for them to be believed.
struct StagingOwner {
  Uuid boot{};     // of the machine: memory does not outlive that
  u64 device = 0;  // where the file is, or which block device it is
  u64 inode = 0;   // 0: a block device
  bool operator==(const StagingOwner&) const = default;
};

/// A write to the device's `offset`; the bytes are within the staging memory.
struct StagedWrite {
  u64 sequence = 0;
  u64 opening = 0;
  u64 offset = 0;
  Bytes bytes;
};

class Staging {
 public:
  /// `memory` is aligned to blocks, and holds at least `staging_min`. What an earlier process of this owner left there stays until
  /// `clear`; anything else is overwritten.
  Staging(MutBytes memory, const StagingOwner& owner);

  /// What an earlier process left, in the order in which it was staged.
  std::vector<StagedWrite> left_over() const;
  /// Forgets everything.
  void clear();

  /// The most bytes that one entry may have.
  u64 length_max() const { return blocks_ / 4 * block_size; }
  /// Copies the bytes in; nothing where there is no room now.
  std::optional<StagedWrite> put(u64 opening, u64 offset, u64 length, std::span<const iovec> from);
  void drop(u64 sequence);
  bool empty() const { return entries_.empty(); }
  /// The sequence of the youngest entry.
  u64 last() const { return first_ + entries_.size() - 1; }
  /// Is any entry up to this one still there?
  bool holds_up_to(u64 sequence) const { return !entries_.empty() && first_ <= sequence; }

  /// Is it staging memory of this owner's?
  static bool belongs_to(Bytes memory, const StagingOwner& owner);

 private:
  struct Header;
  struct Descriptor;
  struct Entry {
    u64 blocks;  // of the ring, with what was skipped at its end
    bool dropped;
  };

  Descriptor& descriptor(u64 sequence) const;

  MutBytes memory_;
  u64 descriptors_ = 0;
  u64 blocks_ = 0;
  std::byte* ring_ = nullptr;
  u64 head_ = 0;   // block at which the next entry would begin
  u64 taken_ = 0;  // blocks
  u64 first_ = 1;  // sequence of the oldest entry
  std::deque<Entry> entries_;
};

inline constexpr u64 staging_min = MiB;

}  // namespace brindle
