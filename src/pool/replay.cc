// replay.cc: reads the log from the last checkpoint on and applies it again.
//
// Holds:  1. A segment all of whose batches are known to be flushed is replayed from its summary; of the others, and where there is
//            none, the whole is read, and each data block's checksum is compared unless its batch is known to be flushed.
//         2. A bad batch at or before a position known to be flushed is damage: of a data block it costs that block alone,
//            of records it ends the replay, and the pool opens read-only. Behind all flushed positions it is the torn
//            tail of a crash, and the log is cut there.
//         3. A batch that names a newer checkpoint than the superblock has is proof of a superblock from the past.
#include <algorithm>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "format/summary.h"
#include "pool/pool.h"
#include "pool/sink.h"

namespace brindle {

namespace {

/// Walks the batches of one epoch through segments that each name their successor.
class LogWalk {
  struct Position {
    u64 segment, base, next_segment, next_base;
    u32 slot;
  };

 public:
  LogWalk(Device& device, const Superblock& superblock)
      : device_(device), superblock_(superblock) {
    restart();
  }

  /// To where the newest checkpoint begins.
  void restart() {
    restore({superblock_.log_segment, superblock_.log_base, 0, 0, superblock_.log_slot});
    number_ = superblock_.checkpoint_number;
  }

  /// Reads the segment's chunk from its base on, unless it was among the last two.
  Task<Status> load() {
    const u64 chunk_size = superblock_.chunk_size;
    const u64 end = std::min(round_down(base_, chunk_size) + chunk_size, device_.size());
    if (loaded().base == base_) co_return Status{};
    newest_ = 1 - newest_;
    if (loaded().base == base_) co_return Status{};
    Loaded& load = loaded();
    load.base = load.bytes = 0;
    if (end <= base_) co_return Status{};
    if (load.buffer.size() < end - base_) load.buffer = AlignedBuffer(chunk_size);
    const MutBytes into = load.buffer.span().first(end - base_);
    if (auto status = co_await device_.read(base_, into); !status) co_return status;
    load.base = base_;
    load.bytes = end - base_;
    co_return Status{};
  }

  /// The batch with the next number, here or at the front of the successor; nothing where the log ends or is broken.
  Task<Result<std::optional<ParsedBatch>>> next() {
    if (auto batch = parse_here(); batch) co_return std::move(batch);
    if (next_segment_ != 0 && next_base_ < device_.size() && !planted(Plant::one_segment)) {
      const Position before = position();
      segment_ = std::exchange(next_segment_, 0);
      base_ = next_base_;
      slot_ = 1;
      if (auto status = co_await load(); !status) co_return status.error();
      if (auto batch = parse_here(); batch) co_return std::move(batch);
      // The successor holds nothing of this log yet: stay where the last batch ended.
      restore(before);
      if (auto status = co_await load(); !status) co_return status.error();
    }
    co_return std::optional<ParsedBatch>();
  }

  /// Goes on behind all that the summary tells of, having read nothing of it.
  void pass(const Summary& summary, u64 base) {
    const SummaryEntry& last = summary.entries.back();
    segment_ = summary.tail.segment;
    base_ = base;
    slot_ = last.slot + last.record_blocks + last.data_blocks;
    number_ = summary.end_number();
    next_segment_ = summary.tail.next_segment;
    next_base_ = summary.tail.next_chunk * superblock_.chunk_size;
  }

  void accept(const ParsedBatch& batch) {
    slot_ += batch.header.record_blocks + batch.header.data_blocks;
    number_ = batch.header.number + 1;
    if (batch.header.next_segment != 0) {
      next_segment_ = batch.header.next_segment;
      next_base_ = batch.header.next_chunk * superblock_.chunk_size;
    }
  }

  Bytes data_of(const ParsedBatch& batch) const {
    const u64 from = (u64{batch.header.slot} + batch.header.record_blocks) * block_size;
    const u64 length = u64{batch.header.data_blocks} * block_size;
    return from + length <= here().size() ? here().subspan(from, length) : Bytes();
  }

  /// The highest flushed position that any batch of this epoch tells behind the present one, here or in successors.
  Task<u64> flushed_behind() {
    u64 flushed = 0;
    const Position before = position();
    const bool was_loaded = !here().empty();
    for (unsigned segments = 0; segments < 64; ++segments) {
      for (u64 at = slot_; (at + 1) * block_size <= here().size(); ++at) {
        auto header = parse_batch_header(here().subspan(at * block_size));
        if (!header || !belongs(*header, at) || header->number < number_) continue;
        flushed = std::max(flushed, header->flushed_number);
        if (header->next_segment != 0) {
          next_segment_ = header->next_segment;
          next_base_ = header->next_chunk * superblock_.chunk_size;
        }
      }
      if (next_segment_ == 0) break;
      segment_ = std::exchange(next_segment_, 0);
      base_ = next_base_;
      slot_ = 1;
      const Status status = co_await load();
      if (!status) break;
    }
    restore(before);
    if (!was_loaded) co_return flushed;
    const Status status = co_await load();
    co_return status ? flushed : 0;
  }

  u64 segment() const { return segment_; }
  u64 base() const { return base_; }
  u64 end() const { return base_ + u64{slot_} * block_size; }
  u64 number() const { return number_; }

 private:
  struct Loaded {
    u64 base = 0;  // 0: nothing
    u64 bytes = 0;
    AlignedBuffer buffer;
  };
  Loaded& loaded() { return loaded_[newest_]; }
  /// What is in memory of the segment, from its base on.
  Bytes here() const {
    const Loaded& newest = loaded_[newest_];
    return newest.base == base_ ? newest.buffer.span().first(newest.bytes) : Bytes();
  }
  bool belongs(const BatchHeader& header, u64 slot) const {
    return header.pool == superblock_.uuid && header.epoch == superblock_.epoch && header.segment == segment_ &&
           header.slot == slot;
  }
  std::optional<ParsedBatch> parse_here() const {
    const u64 at = u64{slot_} * block_size;
    if (at >= here().size()) return std::nullopt;
    auto batch = parse_batch(here().subspan(at));
    if (!batch || !belongs(batch->header, slot_) || batch->header.number != number_) return std::nullopt;
    return std::move(*batch);
  }
  Position position() const { return {segment_, base_, next_segment_, next_base_, slot_}; }
  void restore(const Position& position) {
    segment_ = position.segment;
    base_ = position.base;
    next_segment_ = position.next_segment;
    next_base_ = position.next_base;
    slot_ = position.slot;
  }

  Device& device_;
  const Superblock& superblock_;
  std::array<Loaded, 2> loaded_;
  unsigned newest_ = 0;
  u64 segment_ = 0;
  u64 base_ = 0;
  u32 slot_ = 0;
  u64 next_segment_ = 0;
  u64 next_base_ = 0;
  u64 number_ = 0;  // of the next batch
};

struct FoundSummary {
  Summary summary;
  u64 base;  // of its segment
};

/// The summary of the segment of this log that begins at `base`; nothing where there is none, or none that can be read.
Task<std::optional<Summary>> read_summary(Device& device, const Superblock& superblock, u64 segment, u64 base) {
  constexpr u64 read_first = 64 * KiB;
  const u64 end = round_down(base, superblock.chunk_size) + superblock.chunk_size;
  if (end > device.size()) co_return std::nullopt;
  u64 length = std::min(read_first, end - base);
  for (;;) {
    AlignedBuffer buffer(length);
    const MutBytes into = buffer.span();
    if (auto status = co_await device.read(end - length, into); !status) co_return std::nullopt;
    u64 wanted = 0;
    auto summary = parse_summary(into, wanted);
    if (summary) {
      const SummaryTail& tail = summary->tail;
      const bool ours = tail.pool == superblock.uuid && tail.epoch == superblock.epoch && tail.segment == segment;
      if (!ours || summary->entries.empty()) co_return std::nullopt;
      const SummaryEntry& last = summary->entries.back();
      const bool fits = base + (u64{last.slot} + last.record_blocks + last.data_blocks + tail.blocks) * block_size <= end;
      if (!fits) co_return std::nullopt;
      co_return std::move(*summary);
    }
    if (wanted * block_size <= length || wanted * block_size > end - base) co_return std::nullopt;
    length = wanted * block_size;
  }
}

/// Those of the log's closed segments, in order, as far as they follow each other without a gap.
Task<std::vector<FoundSummary>> read_summaries(Device& device, const Superblock& superblock) {
  std::vector<FoundSummary> found;
  u64 segment = superblock.log_segment;
  u64 base = superblock.log_base;
  u64 number = superblock.checkpoint_number;
  while (segment != 0) {
    auto summary = co_await read_summary(device, superblock, segment, base);
    if (!summary) break;
    const SummaryTail& tail = summary->tail;
    const bool follows = found.empty() ? tail.first_number <= number && number <= summary->end_number() : tail.first_number == number;
    if (!follows) break;
    number = summary->end_number();
    segment = planted(Plant::one_segment) ? 0 : tail.next_segment;
    const u64 next_base = tail.next_chunk * superblock.chunk_size;
    found.push_back({std::move(*summary), base});
    base = next_base;
  }
  co_return found;
}

/// Every data block of the batch matches its checksum.
bool data_is_whole(const ParsedBatch& batch, Bytes data) {
  if (data.size() != u64{batch.header.data_blocks} * block_size) return false;
  u64 at = 0;
  for (const DataRecord& record : batch.records.data) {
    for (u32 crc : record.crcs) {
      if (crc32c(data.subspan(at, block_size)) != crc) return false;
      at += block_size;
    }
  }
  return true;
}

}  // namespace

Task<Result<Pool::ReplayEnd>> Pool::replay() {
  LogWalk walk(device_, superblock_);
  ReplayEnd end;
  end.next_number = superblock_.checkpoint_number;
  if (superblock_.log_segment == 0) co_return end;  // a new pool has no log yet
  if (superblock_.clean != 0) {
    end.end = walk.end();
    co_return end;
  }
  Sink sink(*this);
  u64 flushed = superblock_.flushed_number;
  const auto from_the_past = [this](u64 checkpoint_number) {
    return Error{Code::corrupt, fmt::format("the superblocks are from the past: the log names checkpoint {}, they name {}; the "
                                            "device lost writes, restore it from a backup",
                                            checkpoint_number, superblock_.checkpoint_number)};
  };
  const auto know_segment = [this](u64 segment, u64 base) {
    if (space_.find(segment) != nullptr) return;
    const u64 chunk = base / superblock_.chunk_size;
    space_.load_chunks(std::max(space_.chunks_made(), chunk + 1), space_.punched_bitmap());
    space_.mark_used(chunk, ChunkUse::segments);
    space_.add_segment({.number = segment, .pieces = {{0, base}}}, false);
  };
  const auto apply = [&](u64 segment, u64 slot, u64 record_blocks, u64 number, BatchRecords records) -> Task<void> {
    const SlotName position = SlotName::of(segment, slot);
    AppliedBatch applied{.number = number,
                         .position = position,
                         .first_data = position.plus(record_blocks),
                         .records = std::move(records)};
    co_await sink.apply(applied);
    ++counters_.replayed_batches;
  };

  std::vector<FoundSummary> summaries = co_await read_summaries(device_, superblock_);
  if (summaries.empty()) {
    if (auto status = co_await walk.load(); !status) co_return status.error();
  } else {
    // How far the log is known to be flushed stands in what was written last.
    for (const FoundSummary& found : summaries) flushed = std::max(flushed, found.summary.tail.flushed_number);
    walk.pass(summaries.back().summary, summaries.back().base);
    const u64 behind = co_await walk.flushed_behind();
    flushed = std::max(flushed, behind);
  }
  bool any = false;
  for (FoundSummary& found : summaries) {
    if (found.summary.end_number() > flushed && !planted(Plant::summary_ahead)) break;
    if (planted(Plant::flushed_only) && found.summary.end_number() >= flushed) break;
    const SummaryTail& tail = found.summary.tail;
    if (tail.checkpoint_number > superblock_.checkpoint_number) co_return from_the_past(tail.checkpoint_number);
    walk.pass(found.summary, found.base);
    any = true;
    for (SummaryEntry& entry : found.summary.entries) {
      if (entry.number < superblock_.checkpoint_number) continue;
      know_segment(tail.segment, found.base);
      co_await apply(tail.segment, entry.slot, entry.record_blocks, entry.number, std::move(entry.records));
    }
  }
  if (!any && !summaries.empty()) {
    walk.restart();
    if (auto status = co_await walk.load(); !status) co_return status.error();
  }

  for (;;) {
    auto next = co_await walk.next();
    if (!next) co_return next.error();
    if (!*next) {
      const u64 behind = co_await walk.flushed_behind();
      if (std::max(flushed, behind) > walk.number()) {
        end.damage = Error{Code::corrupt,
                           fmt::format("the log is damaged: batch {} cannot be read although it was durable; the pool "
                                       "is open read-only as of batch {}: export what you need",
                                       walk.number(), walk.number() - 1)};
      }
      break;
    }
    ParsedBatch& batch = **next;
    if (batch.header.checkpoint_number > superblock_.checkpoint_number) {
      co_return from_the_past(batch.header.checkpoint_number);
    }
    flushed = std::max(flushed, batch.header.flushed_number);
    if (planted(Plant::flushed_only) && batch.header.number >= flushed) break;
    const bool trusted = batch.header.number < flushed || planted(Plant::torn_batch);
    if (!trusted && !data_is_whole(batch, walk.data_of(batch))) {
      const u64 behind = co_await walk.flushed_behind();
      flushed = std::max(flushed, behind);
      if (batch.header.number >= flushed) break;
    }
    know_segment(walk.segment(), walk.base());
    const BatchHeader header = batch.header;
    BatchRecords records = std::move(batch.records);
    walk.accept(batch);
    co_await apply(walk.segment(), header.slot, header.record_blocks, header.number, std::move(records));
  }
  end.next_number = walk.number();
  end.end = walk.end();
  co_return end;
}

}  // namespace brindle
