// superblock.h: the first block of a pool, in two copies: which checkpoint holds, and where the log goes on.
//
// Disk:   copy A at byte 0, copy B at byte `superblock_b_offset`, both in chunk 0, which holds nothing else. A copy is
//         written and flushed before the other one is touched, so one of them is always whole.
#pragma once

#include <array>

#include "base/result.h"
#include "base/units.h"
#include "base/uuid.h"

namespace brindle {

inline constexpr u64 superblock_magic = 0x31454c444e495242;  // "BRINDLE1"
inline constexpr u32 format_version = 1;
inline constexpr u64 superblock_b_offset = 64 * KiB;

/// In `incompatible`: there is a table of debts. It goes when they are settled.
inline constexpr u64 feature_debts = 2;
/// In `incompatible`: acknowledged writes may stand in staging memory, and not on the device yet. It goes when the pool is closed in order.
inline constexpr u64 feature_staged = 4;
/// In `incompatible`: there is a table of changes, without which that of segments is old. It goes when all buckets are written whole.
inline constexpr u64 feature_changes = 8;

/// Features that a reader must know to read, or to write; unknown bits in `compatible` may be ignored.
struct Features {
  u64 incompatible = 0;
  u64 read_compatible = 0;
  u64 compatible = 0;
};

struct Superblock {
  u64 magic = superblock_magic;
  u32 version = format_version;
  u32 crc = 0;               // of the whole block with this field zero
  Features features;
  Uuid uuid{};
  u64 chunk_size = 0;
  u64 size_max = 0;          // bytes that the pool may grow to
  u64 generation = 0;        // rises with every superblock written
  u64 epoch = 0;             // which opening of the pool writes the log
  u64 segment_limit = 0;     // segment numbers from here on were never given
  u64 checkpoint_number = 0; // the checkpoint is the state of all batches below this number
  u64 root_offset = 0;       // byte address of the checkpoint's root, and its length and checksum
  u32 root_length = 0;
  u32 root_crc = 0;
  u64 log_segment = 0;       // where the batch `checkpoint_number` stands, or will stand
  u64 log_base = 0;          // byte address of that segment's slot 0
  u32 log_slot = 0;
  u32 clean = 0;             // 1: closed in order, the log holds nothing from there on
  u64 flushed_number = 0;    // all batches below it were flushed when this was written
  std::array<std::byte, 3944> reserved{};
};
static_assert(sizeof(Superblock) == block_size);

/// An opening of a pool, as staging memory knows it: a number that no other one has, of no other pool either.
u64 opening_of(const Uuid& pool, u64 epoch);

/// Fills in the checksum.
void seal_superblock(Superblock& superblock);

/// Reads one copy. Fails: invalid (not a pool), unsupported (a newer version or unknown features), corrupt.
Result<Superblock> parse_superblock(Bytes block);

}  // namespace brindle
