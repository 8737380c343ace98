// log_writer.cc: batches on their way to the device: when one closes, where it goes, and the segments that follow each other.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "format/superblock.h"
#include "pool/log.h"

namespace brindle {

namespace {

// Of full ones, and of those with a command.
constexpr u64 in_flight_max = 4;
// A batch with fewer blocks is not worth a request of its own to the device: it waits for the one before.
constexpr u64 second_from = 8;

}  // namespace

Task<void> Log::run_writer() {
  for (;;) {
    if (open_->empty()) {
      if (closing_) break;
      co_await work_.wait();
      continue;
    }
    if (!may_close()) {
      co_await work_.wait();
      continue;
    }
    if (in_flight_ == 0 || !full()) co_await runtime_.yield();  // whatever else this turn brings joins too
    std::unique_ptr<Batch> batch = std::exchange(open_, fresh_batch());
    room_.notify_all();
    if (latched_) {
      fail(*batch, {Code::read_only, latched_->message});
      continue;
    }
    const bool placed = co_await place(*batch);
    if (!placed) {
      fail(*batch, why_no_chunk());
      continue;
    }
    ++in_flight_;
    blocks_in_flight_ += batch->data_blocks;
    Batch* const at = batch.get();
    closed_.push_back(std::move(batch));
    gate_.spawn(write_batch(at));
  }
  writer_done_ = true;
  completed_.notify_all();
}

/// A client answers a batch with its next requests bit by bit. Were the first of them alone under way, the others would wait for it, and
/// the device would have little to do; so a second batch goes once it is as large as what is under way (and then they are of a size).
bool Log::may_close() const {
  if (in_flight_ == 0 || latched_) return true;
  if (full() || hasty()) return in_flight_ < in_flight_max;
  return in_flight_ == 1 && open_->data_blocks >= std::max(second_from, blocks_in_flight_);
}

void Log::encode_records(Batch& batch) {
  Writer& to = batch.records;
  for (const auto& command : batch.encoded_commands) to.put_bytes(command);
  std::span<const u32> crcs(batch.applied.records.crcs);
  for (const DataRecord& record : batch.applied.records.data) {
    const u64 count = record.zero && planted(Plant::discard_unlogged) ? 0 : record.count;
    encode_data_record(to, record.head, record.first_block, count, record.zero);
    to.put_bytes(std::as_bytes(crcs.first(record.data_blocks())));
    crcs = crcs.subspan(record.data_blocks());
  }
  batch.record_blocks = div_up(sizeof(BatchHeader) + batch.records.size(), block_size);
}

/// Closes the segment and goes on in the successor. False: there is none to be had.
Task<bool> Log::next_segment() {
  if (next_.number == 0) {
    // A fetch that waits for a checkpoint would wait for this very writer: take from the last reserve instead.
    auto chunk = co_await chunks_(true);
    if (!offer(chunk)) co_return false;
  }
  if (named_next_ != next_.number && !planted(Plant::successor_unnamed)) {
    auto link = fresh_batch();
    link->linking = true;
    link->at = position_;
    link->applied.number = next_number_++;
    link->record_blocks = 1;
    link->records_before = record_bytes_;
    link->written_before = written_bytes_;
    if (summary_) summary_->add(link->applied.number, position_.slot, 0, 0, 0, {});
    space_.placed(position_.segment, link->applied.number);
    ++position_.slot;
    named_next_ = next_.number;
    ++in_flight_;
    Batch* const at = link.get();
    closed_.push_back(std::move(link));
    gate_.spawn(write_batch(at));
  }
  if (summary_) {
    const SummaryTail tail{.pool = options_.pool,
                           .epoch = options_.epoch,
                           .segment = position_.segment,
                           .flushed_number = flushed_ + 1,
                           .checkpoint_number = checkpoint_number_,
                           .next_segment = next_.number,
                           .next_chunk = next_.chunk};
    gate_.spawn(write_summary(position_.segment, position_.base + slots_ * block_size, summary_->encode(tail)));
  } else {
    space_.close_segment(position_.segment);
  }
  position_ = {next_.number, next_.chunk, space_.chunk_offset(next_.chunk), 1};
  slots_ = space_.chunk_size() / block_size;
  space_.add_segment({.number = position_.segment, .pieces = {{0, position_.base}}}, true);
  header_due_ = true;
  summary_.emplace();
  next_ = {};
  gate_.spawn(fetch_next());
  co_return true;
}

/// Writes the summary that ends at the byte `end`. Until it is there nothing else may be put into the segment's chunk.
Task<void> Log::write_summary(u64 segment, u64 end, std::vector<std::byte> bytes) {
  AlignedBuffer buffer(bytes.size());
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  const Bytes from = buffer.span();
  device_bytes_ += from.size();
  static_cast<void>(co_await device_.write(end - bytes.size(), from));  // the batches say the same
  space_.close_segment(segment);
}

/// For so many slots, and for what is kept behind them.
bool Log::has_room(u64 slots, u64 record_bytes) const {
  return position_.slot + slots + 1 + (summary_ ? summary_->blocks_with(record_bytes) : 0) <= slots_;
}

/// Gives the batch its number, its place and its names; moves to the next segment where this one has no room.
Task<bool> Log::place(Batch& batch) {
  encode_records(batch);
  const u64 slots = batch.record_blocks + batch.data_blocks;
  const u64 record_bytes = batch.records.size();
  // A segment that began in the rest of a chunk may be too small for the batch; a whole one never is, without its summary.
  for (bool whole = false; !has_room(slots, record_bytes); whole = true) {
    if (summary_ && position_.slot == 1) summary_.reset();
    if (has_room(slots, record_bytes)) break;
    CHECK(!whole);
    const bool moved = co_await next_segment();
    if (!moved) co_return false;
  }
  batch.at = position_;
  batch.applied.number = next_number_++;
  space_.placed(position_.segment, batch.applied.number);
  batch.applied.position = SlotName::of(position_.segment, position_.slot);
  batch.applied.first_data = batch.applied.position.plus(batch.record_blocks);
  batch.records_before = record_bytes_;
  batch.written_before = written_bytes_;
  if (summary_) {
    summary_->add(batch.applied.number, position_.slot, static_cast<u32>(batch.encoded_commands.size()),
                  static_cast<u32>(batch.applied.records.data.size()), static_cast<u32>(batch.data_blocks), batch.records.bytes());
  }
  if (!batch.waiters.empty()) record_bytes_ += batch.record_blocks * block_size;
  written_bytes_ += slots * block_size;
  position_.slot += static_cast<u32>(slots);
  if (next_.number != 0) named_next_ = next_.number;
  co_return true;
}

Task<void> Log::write_batch(Batch* batch) {
  const bool with_header = std::exchange(header_due_, false);
  AlignedBuffer records((batch->record_blocks + (with_header ? 1 : 0)) * block_size);
  const Bytes encoded = batch->records.bytes();
  const size_t filled = (with_header ? block_size : 0) + sizeof(BatchHeader) + encoded.size();
  std::memset(records.data() + filled, 0, records.size() - filled);
  if (with_header) {
    std::memset(records.data(), 0, block_size);
    SegmentHeader header{
        .pool = options_.pool, .epoch = options_.epoch, .segment = batch->at.segment, .chunk = batch->at.chunk};
    header.crc = crc32c(std::as_bytes(std::span(&header, 1)));
    std::memcpy(records.data(), &header, sizeof header);
  }
  logged_flush_ = std::max(logged_flush_, flushed_);
  const BatchHeader header{.pool = options_.pool,
                           .epoch = options_.epoch,
                           .number = batch->applied.number,
                           .segment = batch->at.segment,
                           .slot = batch->at.slot,
                           .record_bytes = static_cast<u32>(batch->records.size()),
                           .record_blocks = static_cast<u32>(batch->record_blocks),
                           .data_blocks = static_cast<u32>(batch->data_blocks),
                           .flushed_number = (planted(Plant::flushed_too_far) ? applied_ : flushed_) + 1,
                           .checkpoint_number = checkpoint_number_,
                           .next_segment = next_.number,
                           .next_chunk = next_.chunk,
                           .commands = static_cast<u32>(batch->encoded_commands.size()),
                           .data_records = static_cast<u32>(batch->applied.records.data.size()),
                           .flags = batch->seal ? batch_seal : 0};
  MutBytes body = records.span().subspan(with_header ? block_size : 0);
  std::memcpy(body.data(), &header, sizeof header);
  if (!encoded.empty()) std::memcpy(body.data() + sizeof header, encoded.data(), encoded.size());
  seal_batch(body, header.record_bytes);

  batch->pieces.front() = {records.data(), records.size()};
  device_bytes_ += records.size() + batch->data_blocks * block_size;
  const u64 offset = batch->at.base + (u64{batch->at.slot} - (with_header ? 1 : 0)) * block_size;
  const u64 opening = opening_of(options_.pool, options_.epoch);
  Status status = co_await device_.stage(opening, offset, batch->pieces);
  if (!status && !latched_) status = co_await device_.stage(opening, offset, batch->pieces);  // a passing error costs only time
  if (!status && !planted(Plant::write_error_ignored)) {
    latch({Code::io, fmt::format("a write to the log failed: {}", status.error().message)});
  }
  batch->complete = true;
  blocks_in_flight_ -= batch->data_blocks;
  --in_flight_;
  completed_.notify_all();
  work_.notify_all();
}

Task<void> Log::fetch_next() {
  if (fetching_ || next_.number != 0) co_return;
  fetching_ = true;
  auto chunk = co_await chunks_(false);
  static_cast<void>(offer(chunk));
  fetching_ = false;
  next_ready_.notify_all();
}

/// Makes the chunk the successor's, or gives it back where there is one already. True: there is a successor.
bool Log::offer(const Result<u64>& chunk) {
  if (chunk && next_.number == 0) {
    next_ = {space_.next_segment_number(), *chunk};
  } else if (chunk) {
    space_.give_back(*chunk);
  } else {
    no_chunk_ = chunk.error();
  }
  return next_.number != 0;
}

/// A pool that is full is told from a device that cannot be asked.
Error Log::why_no_chunk() const {
  if (no_chunk_.ok() || no_chunk_.code() == Code::no_space) {
    return {Code::no_space, "the pool is full: delete volumes or snapshots, or grow it"};
  }
  return {no_chunk_.code(), fmt::format("there is no chunk for the log: {}", no_chunk_.error().message)};
}

}  // namespace brindle
