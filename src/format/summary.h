// summary.h: what a closed log segment says of all its batches, at its end: replay reads this, and not the data between.
//
//   segment  │ header │ batches …                    │ (rest) │ summary, with its tail in the last 128 bytes │
//   slot     0        1                                       slots − blocks                           slots
//
// Holds:  1. The entries are those of the segment's batches in order; number, slot and record blocks of each follow from those before.
//         2. It proves what the batches were, not that they are on the device: that tells only a flushed position above the last.
//         3. A segment may have none, and nothing is lost with one that cannot be read: the batches themselves say the same.
#pragma once

#include "format/batch.h"

namespace brindle {

inline constexpr u32 summary_magic = 0x4d4d5553;  // "SUMM"

struct SummaryTail {
  u32 magic = summary_magic;
  u32 crc = 0;                // of the entries, and then of this tail (this field zero)
  Uuid pool{};
  u64 epoch = 0;
  u64 segment = 0;
  u64 first_number = 0;       // of the first batch
  u32 batches = 0;
  u32 first_slot = 0;         // of the first batch
  u32 bytes = 0;              // of the entries
  u32 blocks = 0;             // that entries and tail fill, up to the end of the segment
  u64 flushed_number = 0;     // as in a batch
  u64 checkpoint_number = 0;
  u64 next_segment = 0;       // where the log goes on
  u64 next_chunk = 0;
  std::array<u64, 4> reserved{};
  u64 end_number() const { return first_number + batches; }
};
static_assert(sizeof(SummaryTail) == 128);

struct SummaryEntry {
  u64 number = 0;
  u32 slot = 0;
  u32 record_blocks = 0;
  u32 data_blocks = 0;
  BatchRecords records;
};

struct Summary {
  SummaryTail tail;
  std::vector<SummaryEntry> entries;
};

/// Gathers the entries of a segment while it fills.
class SummaryBuilder {
 public:
  /// The next batch of the segment.
  void add(u64 number, u32 slot, u32 commands, u32 data_records, u32 data_blocks, Bytes records);
  /// Blocks that the summary fills once one more batch with records of so many bytes, and an empty one, are in it.
  u64 blocks_with(u64 record_bytes) const;
  /// The blocks as they go to the device; `tail` has everything that is not counted here.
  std::vector<std::byte> encode(SummaryTail tail) const;

 private:
  Writer entries_;
  u64 first_number_ = 0;
  u32 first_slot_ = 0;
  u32 batches_ = 0;
};

/// The blocks of a summary of these entries; `tail` has everything that does not follow from them.
std::vector<std::byte> encode_summary(SummaryTail tail, Bytes entries);

/// Parses the summary that ends at the end of `blocks`. Where it is longer than they are, `blocks_wanted` says so.
/// Fails: corrupt (there is none, or no whole one).
Result<Summary> parse_summary(Bytes blocks, u64& blocks_wanted);

/// The same in two steps, for who needs many tails before the first entry: the tail, with the checksum of all compared, and then
/// the entries out of the same blocks, in place of those in `entries`, whose memory is used again (all of it, for thousands of small batches).
Result<SummaryTail> parse_summary_tail(Bytes blocks, u64& blocks_wanted);
Status parse_summary_entries(Bytes blocks, const SummaryTail& tail, std::vector<SummaryEntry>& entries);

}  // namespace brindle
