// batch.h: a group commit as it stands in the log: record blocks, then the data blocks that they describe.
//
//   segment  │ header │ records of batch 7 │ data │ data │ records of batch 8 │ data │ …
//   slot     0        1                    2      3      4                    5
//
// Holds:  1. Data blocks follow the record blocks in the order of the data records; their names are their slots.
//         2. The checksum covers the header and all records; each data block's checksum is in its record.
#pragma once

#include <vector>

#include "base/result.h"
#include "format/command.h"
#include "format/name.h"

namespace brindle {

inline constexpr u32 batch_magic = 0x48435442;    // "BTCH"
inline constexpr u32 segment_magic = 0x4d474553;  // "SEGM"

struct BatchHeader {
  u32 magic = batch_magic;
  u32 crc = 0;                // of this header (this field zero) and the records
  Uuid pool{};
  u64 epoch = 0;
  u64 number = 0;
  u64 segment = 0;            // where it stands, so that a misdirected write is told from a batch
  u32 slot = 0;
  u32 record_bytes = 0;       // that follow the header
  u32 record_blocks = 0;      // blocks that header and records fill
  u32 data_blocks = 0;
  u64 flushed_number = 0;     // all batches below it were durable when this one was written
  u64 checkpoint_number = 0;  // the newest durable checkpoint then
  u64 next_segment = 0;       // where the log goes on when this segment is full
  u64 next_chunk = 0;
  u32 commands = 0;
  u32 data_records = 0;
  u64 flags = 0;              // batch_seal
  std::array<u64, 2> reserved{};
};
static_assert(sizeof(BatchHeader) == 128);

inline constexpr u64 batch_seal = 1;  // a checkpoint of all batches below this one begins here

/// The first block of a data segment, for people with a hex editor: no reader needs it, and a power loss may take it.
struct SegmentHeader {
  u32 magic = segment_magic;
  u32 crc = 0;
  Uuid pool{};
  u64 epoch = 0;
  u64 segment = 0;
  u64 chunk = 0;
};
static_assert(sizeof(SegmentHeader) == 48);

/// A write (data, one block each) or zeroes over whole blocks of a head.
struct DataRecord {
  RootId head = 0;
  u64 first_block = 0;
  u64 count = 0;
  bool zero = false;

  /// That it has in its batch.
  u64 data_blocks() const { return zero ? 0 : count; }
};

struct BatchRecords {
  std::vector<Command> commands;
  std::vector<DataRecord> data;
  std::vector<u32> crcs;  // of the blocks of all writes in `data`, one after the other
};

void encode_data_record(Writer& to, RootId head, u64 first_block, u64 count, bool zero);

/// Parses header and records from the first block on. `blocks` may be longer than the batch.
/// Fails: corrupt (no batch stands here), with nothing else known.
struct ParsedBatch {
  BatchHeader header;
  BatchRecords records;
};
Result<BatchHeader> parse_batch_header(Bytes blocks);
Result<ParsedBatch> parse_batch(Bytes blocks);

/// The records alone, which fill `bytes`, in place of what is in `records`, whose memory is used again. Fails: corrupt.
Status parse_records(Bytes bytes, u32 commands, u32 data_records, u64 data_blocks, BatchRecords& records);

/// Does each block of the batch's data match its checksum? `data`: all of it.
bool data_is_whole(const BatchRecords& records, Bytes data);

/// Fills in the checksum of a batch whose header stands at the front of `records`.
void seal_batch(MutBytes records, u32 record_bytes);

}  // namespace brindle
