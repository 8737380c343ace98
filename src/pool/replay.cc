// replay.cc: reads the log from the last checkpoint on and applies it again.
//
// Holds:  1. Segments are read whole, in order; records are parsed and each data block's checksum is compared.
//         2. A bad batch at or before a position known to be flushed is damage: of a data block it costs that block alone,
//            of records it ends the replay, and the pool opens read-only. Behind all flushed positions it is the torn
//            tail of a crash, and the log is cut there.
//         3. A batch that names a newer checkpoint than the superblock has is proof of a superblock from the past.
#include <algorithm>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
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
      : device_(device),
        superblock_(superblock),
        segment_(superblock.log_segment),
        base_(superblock.log_base),
        slot_(superblock.log_slot),
        number_(superblock.checkpoint_number) {}

  /// Reads the segment's chunk from its base on.
  Task<Status> load() {
    const u64 chunk_size = superblock_.chunk_size;
    const u64 end = std::min(round_down(base_, chunk_size) + chunk_size, device_.size());
    loaded_ = 0;
    if (end <= base_) co_return Status{};
    if (buffer_.size() < end - base_) buffer_ = AlignedBuffer(chunk_size);
    loaded_ = end - base_;
    const MutBytes into = buffer_.span().first(loaded_);
    co_return co_await device_.read(base_, into);
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
    return from + length <= loaded_ ? buffer_.span().subspan(from, length) : Bytes();
  }

  /// The highest flushed position that any batch of this epoch tells behind the present one, here or in successors.
  Task<u64> flushed_behind() {
    u64 flushed = 0;
    const Position before = position();
    for (unsigned segments = 0; segments < 64; ++segments) {
      for (u64 at = slot_; (at + 1) * block_size <= loaded_; ++at) {
        auto header = parse_batch_header(buffer_.span().subspan(at * block_size, loaded_ - at * block_size));
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
    const Status status = co_await load();
    co_return status ? flushed : 0;
  }

  u64 segment() const { return segment_; }
  u64 base() const { return base_; }
  u64 end() const { return base_ + u64{slot_} * block_size; }
  u64 number() const { return number_; }

 private:
  bool belongs(const BatchHeader& header, u64 slot) const {
    return header.pool == superblock_.uuid && header.epoch == superblock_.epoch && header.segment == segment_ &&
           header.slot == slot;
  }
  std::optional<ParsedBatch> parse_here() const {
    const u64 at = u64{slot_} * block_size;
    if (at >= loaded_) return std::nullopt;
    auto batch = parse_batch(buffer_.span().subspan(at, loaded_ - at));
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
  AlignedBuffer buffer_;
  u64 loaded_ = 0;
  u64 segment_;
  u64 base_;
  u32 slot_;
  u64 next_segment_ = 0;
  u64 next_base_ = 0;
  u64 number_;
};

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
  if (auto status = co_await walk.load(); !status) co_return status.error();
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
      co_return Error{Code::corrupt,
                      fmt::format("the superblocks are from the past: the log names checkpoint {}, they name {}; the "
                                  "device lost writes, restore it from a backup",
                                  batch.header.checkpoint_number, superblock_.checkpoint_number)};
    }
    flushed = std::max(flushed, batch.header.flushed_number);
    if (planted(Plant::flushed_only) && batch.header.number >= flushed) break;
    const bool trusted = batch.header.number < flushed || planted(Plant::torn_batch);
    if (!trusted && !data_is_whole(batch, walk.data_of(batch))) {
      const u64 behind = co_await walk.flushed_behind();
      flushed = std::max(flushed, behind);
      if (batch.header.number >= flushed) break;
    }
    if (space_.find(walk.segment()) == nullptr) {
      const u64 chunk = walk.base() / superblock_.chunk_size;
      space_.load_chunks(std::max(space_.chunks_made(), chunk + 1), space_.punched_bitmap());
      space_.mark_used(chunk, ChunkUse::segments);
      space_.add_segment({.number = walk.segment(), .pieces = {{0, walk.base()}}}, false);
    }
    const SlotName position = SlotName::of(walk.segment(), batch.header.slot);
    AppliedBatch applied{.number = batch.header.number,
                         .position = position,
                         .first_data = position.plus(batch.header.record_blocks),
                         .records = std::move(batch.records)};
    walk.accept(batch);
    co_await sink.apply(applied);
    ++counters_.replayed_batches;
  }
  end.next_number = walk.number();
  end.end = walk.end();
  co_return end;
}

}  // namespace brindle
