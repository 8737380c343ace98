// replay.cc: reads the log from the last checkpoint on and applies it again.
//
// Holds:  1. A segment all of whose batches are known to be flushed is replayed from its summary; of the others, and where there is
//            none, the whole is read, and each data block's checksum is compared unless its batch is known to be flushed.
//         2. A bad batch at or before a position known to be flushed is damage: of a data block it costs that block alone,
//            of records it ends the replay, and the pool opens read-only. Behind all flushed positions it is the torn
//            tail of a crash, and the log is cut there.
//         3. A batch that names a newer checkpoint than the superblock has is proof of a superblock from the past.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/planted.h"
#include "pool/log_walk.h"
#include "pool/pool.h"
#include "pool/sink.h"

namespace brindle {

/// One replay: what the summaries tell, then what stands behind them.
class Pool::Replay {
 public:
  explicit Replay(Pool& pool)
      : pool_(pool),
        superblock_(pool.superblock_),
        sink_(pool),
        walk_(pool.runtime_, pool.device_, pool.superblock_),
        heard_(pool.runtime_),
        flushed_(pool.superblock_.flushed_number) {}

  Task<Result<ReplayEnd>> run();
  Task<void> close() { return walk_.close(); }

 private:
  Task<Status> from_summaries();
  Task<Status> from_batches();
  Task<void> hear();
  Task<Status> apply(u64 segment, u64 slot, u64 record_blocks, u64 number, BatchRecords& records);
  void know_segment(u64 segment, u64 base);
  Status from_the_past(u64 checkpoint_number) const;

  Pool& pool_;
  const Superblock& superblock_;
  Sink sink_;
  LogWalk walk_;
  Signal heard_;  // flushed_ rose, or nothing is left to hear
  u64 flushed_;   // all batches below it were durable
  bool heard_all_ = false;
  Status hearing_;
  AppliedBatch applied_;  // the last one
  ReplayEnd end_;
};

Task<Result<Pool::ReplayEnd>> Pool::replay() {
  Replay replay(*this);
  auto end = co_await replay.run();
  co_await replay.close();
  co_return end;
}

Task<Result<Pool::ReplayEnd>> Pool::Replay::run() {
  end_.next_number = superblock_.checkpoint_number;
  if (superblock_.log_segment == 0) co_return end_;  // a new pool has no log yet
  if (superblock_.clean == 0) {
    Status status = co_await from_summaries();
    if (status) status = co_await from_batches();
    if (!status && !end_.damage) co_return status.error();
    // The walk goes on behind whole summaries; of the one at which this ended, some batches may have taken effect.
    end_.next_number = std::max(walk_.number(), applied_.number + 1);
  }
  end_.end = walk_.end();
  co_return end_;
}

/// How far the log is known to be flushed stands in what was written last.
Task<void> Pool::Replay::hear() {
  hearing_ = co_await walk_.hear_behind(flushed_, heard_);
  heard_all_ = true;
  heard_.notify_all();
}

/// Applies the segments that are known to be flushed as a whole. The walk goes on behind them.
Task<Status> Pool::Replay::from_summaries() {
  std::vector<FoundSummary> summaries = co_await read_summaries(pool_.runtime_, pool_.device_, superblock_);
  if (summaries.empty()) co_return Status{};
  for (const FoundSummary& found : summaries) flushed_ = std::max(flushed_, found.tail.flushed_number);
  walk_.pass(summaries.back().tail, summaries.back().base, 0);
  // Most of what it reads takes effect only where the log is damaged: apply meanwhile what is known already.
  Gate hearing(pool_.runtime_);
  hearing.spawn(hear());
  Status status;
  const FoundSummary* last = nullptr;
  u32 last_slot = 0;
  std::vector<SummaryEntry> entries;
  for (const FoundSummary& found : summaries) {
    const u64 end = found.tail.end_number();
    while (end > flushed_ && !heard_all_) co_await heard_.wait();
    if (end > flushed_ && !planted(Plant::summary_ahead)) break;
    if (planted(Plant::flushed_only) && end >= flushed_) break;
    status = from_the_past(found.tail.checkpoint_number);
    if (!status) break;
    if (!entries_of(found, superblock_, entries)) break;  // the batches themselves say the same
    for (SummaryEntry& entry : entries) {
      if (entry.number < superblock_.checkpoint_number) continue;
      know_segment(found.tail.segment, found.base);
      status = co_await apply(found.tail.segment, entry.slot, entry.record_blocks, entry.number, entry.records);
      if (!status) break;
    }
    if (!status) break;
    last = &found;
    last_slot = entries.back().slot + entries.back().record_blocks + entries.back().data_blocks;
    co_await pool_.runtime_.yield();
  }
  co_await hearing.close();
  if (status) status = hearing_;
  walk_.restart();
  if (last != nullptr) walk_.pass(last->tail, last->base, last_slot);
  co_return status;
}

/// Applies what follows batch by batch, to the end of the log or to where it is damaged.
Task<Status> Pool::Replay::from_batches() {
  for (;;) {
    auto next = co_await walk_.next();
    if (!next) co_return next.error();
    if (!*next) {
      if (auto status = co_await walk_.hear_behind(flushed_, heard_); !status) co_return status;
      if (flushed_ > walk_.number()) {
        end_.damage = Error{Code::corrupt,
                            fmt::format("the log is damaged: batch {} cannot be read although it was durable; the pool "
                                        "is open read-only as of batch {}: export what you need",
                                        walk_.number(), walk_.number() - 1)};
      }
      co_return Status{};
    }
    ParsedBatch& batch = **next;
    const BatchHeader header = batch.header;
    if (auto status = from_the_past(header.checkpoint_number); !status) co_return status;
    flushed_ = std::max(flushed_, header.flushed_number);
    if (planted(Plant::flushed_only) && header.number >= flushed_) co_return Status{};
    if (header.number >= flushed_ && !planted(Plant::torn_batch)) {
      auto whole = co_await walk_.data_is_whole(batch);
      if (!whole) co_return whole.error();
      if (!*whole) {
        if (auto status = co_await walk_.hear_behind(flushed_, heard_); !status) co_return status;
        if (header.number >= flushed_) co_return Status{};
      }
    }
    know_segment(walk_.segment(), walk_.base());
    walk_.accept(batch);
    if (auto status = co_await apply(walk_.segment(), header.slot, header.record_blocks, header.number, batch.records); !status) co_return status;
  }
}

/// Takes the records, and leaves those before. Where a page that they need cannot be read, what was acknowledged would be lost, and what comes
/// after would be built without it: the pool stays as it lies, to be opened again once the device reads.
Task<Status> Pool::Replay::apply(u64 segment, u64 slot, u64 record_blocks, u64 number, BatchRecords& records) {
  const SlotName position = SlotName::of(segment, slot);
  applied_.number = number;
  applied_.position = position;
  applied_.first_data = position.plus(record_blocks);
  std::swap(applied_.records, records);
  ++pool_.counters_.replayed_batches;
  co_await sink_.apply(applied_);
  for (const std::vector<Status>* results : {&applied_.data_results, &applied_.command_results}) {
    const auto unread = std::find_if(results->begin(), results->end(), [](const Status& s) { return !s && s.code() == Code::io; });
    if (unread == results->end()) continue;
    end_.damage = Error{Code::io, fmt::format("the log could not be replayed, since a page of a map cannot be read: {}; the pool is open "
                                              "read-only as of batch {}: start it again once the device works, or export what you need",
                                              unread->error().message, number - 1)};
    co_return unread->error();
  }
  co_return Status{};
}

/// The segment table of the checkpoint does not have what was begun after it.
void Pool::Replay::know_segment(u64 segment, u64 base) {
  Space& space = pool_.space_;
  if (space.find(segment) != nullptr) return;
  const u64 chunk = base / superblock_.chunk_size;
  space.load_chunks(std::max(space.chunks_made(), chunk + 1), space.punched_bitmap());
  space.mark_used(chunk, ChunkUse::segments);
  // What the log holds was given, whatever the superblock allowed: a number that is given twice names two blocks.
  space.load_segment_numbers(std::max(space.segment_numbers_given(), segment + 1));
  space.add_segment({.number = segment, .pieces = {{0, base}}}, false);
}

Status Pool::Replay::from_the_past(u64 checkpoint_number) const {
  if (checkpoint_number <= superblock_.checkpoint_number) return {};
  return Error{Code::corrupt, fmt::format("the superblocks are from the past: the log names checkpoint {}, they name {}; the "
                                          "device lost writes, restore it from a backup",
                                          checkpoint_number, superblock_.checkpoint_number)};
}

}  // namespace brindle
