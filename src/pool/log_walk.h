// log_walk.h: reads the log of an opening that ended, batch by batch, through segments that each name their successor.
//
// Holds:  1. A segment is read from its front on, in several reads at once: as far as somebody asked, and where data is verified a few
//            MiB ahead of that, so that the device does not rest meanwhile.
//         2. Only batches of this pool, epoch, segment, slot and number stand; whatever else lies about is nothing.
// Caller: replay; one call at a time, `close` the last.
// Fails:  io (the segment cannot be read).
#pragma once

#include <array>
#include <optional>
#include <vector>

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
  /// Waits for the reads that are still under way.
  Task<void> close();

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
    u64 bytes = 0; // all before is there
    u64 asked = 0; // and this far on its way
    std::vector<bool> there;  // by piece
    u64 under_way = 0;
    Status status;
    AlignedBuffer buffer;
  };

  u64 size() const;
  Bytes here() const;
  Task<Status> load(u64 bytes, u64 ahead = 0);
  void ask(Loaded& loaded, u64 from, u64 to);
  Task<void> read_piece(Loaded& loaded, u64 from, u64 length);
  Task<Status> listen(u64& flushed, Signal& heard);
  Task<Result<std::optional<ParsedBatch>>> parse_here();
  bool belongs(const BatchHeader& header, u64 slot) const;
  void name_successor(const BatchHeader& header);

  Device& device_;
  const Superblock& superblock_;
  // Of the two segments that were walked last, and of the two that were listened to last: the end of the log, which the walk comes to.
  std::array<Loaded, 4> loaded_;
  std::array<unsigned, 2> newest_{0, 2};
  bool listening_ = false;
  std::vector<u64> heard_segments_;  // all that stands in them and behind them has been heard
  Position at_{};
  u64 number_ = 0;  // of the next batch
  Signal landed_;   // a piece is there, or could not be read
  Gate reads_;
};

/// A summary whose checksum is right, and where its segment begins.
struct FoundSummary {
  SummaryTail tail;
  u64 base = 0;
  AlignedBuffer blocks;  // that end with it
};

/// The summaries of the log's closed segments, in order, as far as they follow each other without a gap.
Task<std::vector<FoundSummary>> read_summaries(Runtime& runtime, Device& device, const Superblock& superblock);
/// What such a summary says of the batches, in place of what is in `entries`. Fails: corrupt (they do not fit into the segment).
Status entries_of(const FoundSummary& found, const Superblock& superblock, std::vector<SummaryEntry>& entries);

}  // namespace brindle
