// log_walk.h: reads the log of an opening that ended, batch by batch, through segments that each name their successor.
//
// Holds:  1. Of a segment no more is read than somebody asked for, from its front on, in several reads at once.
//         2. Only batches of this pool, epoch, segment, slot and number stand; whatever else lies about is nothing.
// Caller: replay; one call at a time.
// Fails:  io (the segment cannot be read).
#pragma once

#include <array>
#include <optional>

#include "base/aligned.h"
#include "device/device.h"
#include "format/summary.h"
#include "format/superblock.h"
#include "runtime/sync.h"

namespace brindle {

class LogWalk {
 public:
  struct Position {
    u64 segment, base, next_segment, next_base;
    u32 slot;
    bool passed;  // nothing stands here any more
  };

  LogWalk(Runtime& runtime, Device& device, const Superblock& superblock);

  /// To where the newest checkpoint begins.
  void restart();
  /// Goes on behind the segment that begins at `base`, whose last batch ends before `slot`, having read nothing of it.
  void pass(const SummaryTail& tail, u64 base, u32 slot);
  /// Goes on behind the batch that `next` gave.
  void accept(const ParsedBatch& batch);

  /// The batch with the next number, here or at the front of the successor; nothing where the log ends or is broken.
  Task<Result<std::optional<ParsedBatch>>> next();
  /// Every data block of the batch that `next` gave matches its checksum.
  Task<Result<bool>> data_is_whole(const ParsedBatch& batch);

  /// Raises `flushed` to the highest flushed position that any batch of this epoch tells behind the present one, here or in successors,
  /// and `heard` each time.
  Task<Status> hear_behind(u64& flushed, Signal& heard);

  u64 segment() const { return at_.segment; }
  u64 base() const { return at_.base; }
  u64 end() const { return at_.base + u64{at_.slot} * block_size; }
  u64 number() const { return number_; }

 private:
  struct Loaded {
    u64 base = 0;  // 0: nothing
    u64 bytes = 0;
    AlignedBuffer buffer;
  };

  u64 size() const;
  Bytes here() const;
  Task<Status> load(u64 bytes);
  Task<Result<std::optional<ParsedBatch>>> parse_here();
  bool belongs(const BatchHeader& header, u64 slot) const;
  void name_successor(const BatchHeader& header);

  Runtime& runtime_;
  Device& device_;
  const Superblock& superblock_;
  std::array<Loaded, 2> loaded_;  // of the two segments that were asked for last
  unsigned newest_ = 0;
  Position at_{};
  u64 number_ = 0;  // of the next batch
};

/// A summary whose checksum is right, and where its segment begins.
struct FoundSummary {
  SummaryTail tail;
  u64 base = 0;
  AlignedBuffer blocks;  // that end with it
};

/// The summaries of the log's closed segments, in order, as far as they follow each other without a gap.
Task<std::vector<FoundSummary>> read_summaries(Runtime& runtime, Device& device, const Superblock& superblock);
/// What such a summary says of the batches. Fails: corrupt (they do not fit into the segment).
Result<std::vector<SummaryEntry>> entries_of(const FoundSummary& found, const Superblock& superblock);

}  // namespace brindle
