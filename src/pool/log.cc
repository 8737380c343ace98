#include "pool/log.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "format/superblock.h"

namespace brindle {

namespace {

// More than one batch under way helps a little once requests come faster than a batch of this size takes.
constexpr u64 in_flight_max = 4;
constexpr u64 blocks_a_batch_max = 128;
// A request of 256 KiB at any alignment touches 65 blocks, and it must fit.
constexpr u64 blocks_a_batch_min = 72;
constexpr u64 records_a_batch_max = 64 * KiB;
// After a flush that no batch follows, a marker tells replay how far it went; requests in quick succession tell it anyway.
constexpr u64 marker_delay_ns = 20 * millisecond_ns;

u64 record_size(u64 crcs) { return 24 + crcs * sizeof(u32); }

}  // namespace

Log::Log(Runtime& runtime, Device& device, Flusher& flusher, Space& space, LogSink& sink, ChunkSource chunks,
         Options options)
    : runtime_(runtime),
      device_(device),
      flusher_(flusher),
      space_(space),
      sink_(sink),
      chunks_(std::move(chunks)),
      options_(options),
      next_number_(options.next_number),
      applied_(options.next_number - 1),
      flushed_(options.next_number - 1),
      logged_flush_(flushed_),
      checkpoint_number_(options.checkpoint_number),
      joining_(runtime),
      work_(runtime),
      completed_(runtime),
      room_(runtime),
      flush_done_(runtime),
      next_ready_(runtime),
      some_applied_(runtime),
      loops_(runtime),
      gate_(runtime) {
  const u64 slots = space.chunk_size() / block_size;
  blocks_max_ = std::max(blocks_a_batch_min, std::min(blocks_a_batch_max, slots / 4));
  record_bytes_max_ = (slots - 3) * block_size - sizeof(BatchHeader);
}

Log::~Log() = default;

void Log::start(u64 chunk, u64 base) {
  position_ = {space_.next_segment_number(), chunk, base, 1};
  slots_ = (space_.chunk_offset(chunk) + space_.chunk_size() - base) / block_size;
  space_.add_segment({.number = position_.segment, .pieces = {{0, base}}}, true);
  header_due_ = true;
  summary_.emplace();
  sealed_at_ = position_;
  gate_.spawn(fetch_next());
  loops_.spawn(run_writer());
  loops_.spawn(run_applier());
}

Task<void> Log::close() {
  closing_ = true;
  work_.notify_all();
  completed_.notify_all();
  co_await loops_.close();
  co_await gate_.close();
}

Status Log::refused() const {
  if (latched_) return Error{Code::read_only, latched_->message};
  if (closing_) return Error{Code::stopping, "the daemon is stopping"};
  return {};
}

void Log::latch(const Error& why) {
  if (latched_) return;
  latched_ = why;
  sink_.latch(why);
  work_.notify_all();
  completed_.notify_all();
  room_.notify_all();
  flush_done_.notify_all();
}

// --- joining --------------------------------------------------------------------------------------------------------

bool Log::full() const { return open_->data_blocks >= blocks_max_ || room_.has_waiters(); }

/// Somebody waits for a command: for its flush as well, so not for the batch before it.
bool Log::hasty() const { return !open_->encoded_commands.empty(); }

bool Log::fits(u64 blocks, u64 record_bytes, bool command) const {
  const Batch& batch = *open_;
  if (command && batch.closed_to_commands) return false;
  const bool fresh = batch.data_blocks == 0 && batch.record_bytes == sizeof(BatchHeader);
  return fresh || (batch.data_blocks + blocks <= blocks_max_ &&
                   batch.record_bytes + record_bytes <= std::min(records_a_batch_max, record_bytes_max_));
}

Task<void> Log::room(u64 blocks, u64 record_bytes, bool command) {
  while (!fits(blocks, record_bytes, command) && !latched_) {
    work_.notify_all();
    co_await room_.wait();
  }
}

Task<Status> Log::write(RootId head, u64 first_block, const std::byte* blocks, u64 count, const u32* crcs) {
  CHECK(count > 0 && count <= blocks_max_ && is_aligned(blocks));
  if (auto status = refused(); !status) {
    no_longer_under_way(count);
    co_return status;
  }
  std::vector<u32> sums(count);
  for (u64 i = 0; i < count; ++i) sums[i] = crcs != nullptr ? crcs[i] : crc32c({blocks + i * block_size, block_size});
  for (;;) {
    if (wants_successor()) {
      if (auto status = co_await successor(); !status) {
        no_longer_under_way(count);
        co_return status;
      }
    }
    co_await joining_.acquire();
    if (!fits(count, record_size(count), false)) co_await room(count, record_size(count), false);
    // Those before may have used the successor up. Who joins all the same would take the chunks that are kept for checkpoints.
    if (!wants_successor() || planted(Plant::successor_unasked)) break;
    joining_.release();
  }
  Batch& batch = *open_;
  batch.blocks.emplace_back(blocks, count * block_size);
  batch.applied.records.data.push_back({head, first_block, count, false, std::move(sums)});
  batch.data_blocks += count;
  batch.record_bytes += record_size(count);
  Join join{*this, {}, false, batch.applied.records.data.size() - 1};
  joining_.release();
  work_.notify_all();
  co_return co_await join;
}

bool Log::wants_successor() const {
  return next_.number == 0 && slots_ - position_.slot < slots_ / 4 + blocks_max_ && !latched_;
}

/// Data waits while the segment runs out and its successor is not at hand; commands and checkpoints, which make room,
/// go on in what is left.
Task<Status> Log::successor() {
  while (wants_successor()) {
    const bool mine = !fetching_;
    if (mine) {
      co_await fetch_next();
    } else {
      co_await next_ready_.wait();
    }
    if (next_.number == 0 && !fetching_) {
      co_return Error{Code::no_space, "the pool is full: delete volumes or snapshots, or grow it"};
    }
  }
  co_return refused();
}

Task<Status> Log::zero(RootId head, u64 first_block, u64 count) {
  if (auto status = refused(); !status) co_return status;
  co_await joining_.acquire();
  co_await room(0, record_size(0), false);
  Batch& batch = *open_;
  batch.applied.records.data.push_back({head, first_block, count, true, {}});
  batch.record_bytes += record_size(0);
  Join join{*this, {}, false, batch.applied.records.data.size() - 1};
  joining_.release();
  work_.notify_all();
  co_return co_await join;
}

Task<Status> Log::command(Command command) {
  if (auto status = refused(); !status) co_return status;
  Writer to;
  encode_command(to, command);
  std::vector<std::byte> encoded = to.take();
  if (encoded.size() > record_bytes_max_) {
    co_return Error{Code::invalid, fmt::format("too much for one command: {} bytes of names, and a batch of this pool "
                                               "takes {}; split it into several commands",
                                               encoded.size(), record_bytes_max_)};
  }
  co_await joining_.acquire();
  co_await room(0, encoded.size(), true);
  Batch& batch = *open_;
  batch.record_bytes += encoded.size();
  batch.closed_to_commands = changes_pages(command);
  batch.encoded_commands.push_back(std::move(encoded));
  batch.applied.records.commands.push_back(std::move(command));
  Join join{*this, {}, true, batch.applied.records.commands.size() - 1};
  joining_.release();
  work_.notify_all();
  co_return co_await join;
}

Task<Result<u64>> Log::seal() {
  if (auto status = refused(); !status) co_return status.error();
  struct Sealed {
    Log& log;
    Result<u64> number = u64{0};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      log.open_->seal = true;
      log.open_->sealers.emplace_back(handle, &number);
      log.work_.notify_all();
    }
    Result<u64> await_resume() { return std::move(number); }
  };
  Sealed sealed{*this};
  co_return co_await sealed;
}

// --- writing --------------------------------------------------------------------------------------------------------

Task<void> Log::run_writer() {
  for (;;) {
    if (open_->empty()) {
      if (closing_) break;
      co_await work_.wait();
      continue;
    }
    if (in_flight_ > 0 && !((full() || hasty()) && in_flight_ < in_flight_max) && !latched_) {
      co_await work_.wait();
      continue;
    }
    if (in_flight_ == 0 || !full()) co_await runtime_.yield();  // whatever else this turn brings joins too
    std::unique_ptr<Batch> batch = std::exchange(open_, std::make_unique<Batch>());
    room_.notify_all();
    if (latched_) {
      fail(*batch, {Code::read_only, latched_->message});
      continue;
    }
    const bool placed = co_await place(*batch);
    if (!placed) {
      fail(*batch, {Code::no_space, "the pool is full: delete volumes or snapshots, or grow it"});
      continue;
    }
    ++in_flight_;
    Batch* const at = batch.get();
    closed_.push_back(std::move(batch));
    gate_.spawn(write_batch(at));
  }
  writer_done_ = true;
  completed_.notify_all();
}

void Log::encode_records(Batch& batch) {
  Writer to;
  for (const auto& command : batch.encoded_commands) to.put_bytes(command);
  for (const auto& record : batch.applied.records.data) {
    const u64 count = record.zero && planted(Plant::discard_unlogged) ? 0 : record.count;
    encode_data_record(to, record.head, record.first_block, count, record.zero);
    to.put_bytes(std::as_bytes(std::span(record.crcs)));
  }
  batch.records = to.take();
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
    auto link = std::make_unique<Batch>();
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
                  static_cast<u32>(batch.applied.records.data.size()), static_cast<u32>(batch.data_blocks), batch.records);
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
  records.clear();
  if (with_header) {
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
  if (!batch->records.empty()) std::memcpy(body.data() + sizeof header, batch->records.data(), batch->records.size());
  seal_batch(body, header.record_bytes);

  std::vector<iovec> pieces{{records.data(), records.size()}};
  for (const Bytes block : batch->blocks) pieces.push_back({const_cast<std::byte*>(block.data()), block.size()});
  device_bytes_ += records.size() + batch->data_blocks * block_size;
  const u64 offset = batch->at.base + (u64{batch->at.slot} - (with_header ? 1 : 0)) * block_size;
  const u64 opening = opening_of(options_.pool, options_.epoch);
  Status status = co_await device_.stage(opening, offset, pieces);
  if (!status && !latched_) status = co_await device_.stage(opening, offset, pieces);  // a passing error costs only time
  if (!status && !planted(Plant::write_error_ignored)) {
    latch({Code::io, fmt::format("a write to the log failed: {}", status.error().message)});
  }
  batch->complete = true;
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
  }
  return next_.number != 0;
}

// --- applying -------------------------------------------------------------------------------------------------------

Task<void> Log::run_applier() {
  for (;;) {
    auto at = closed_.begin();
    if (planted(Plant::any_order)) {
      at = std::find_if(at, closed_.end(), [](const auto& closed) { return closed->complete; });
    }
    if (at == closed_.end() || !(*at)->complete) {
      if (writer_done_ && closed_.empty()) break;
      co_await completed_.wait();
      continue;
    }
    std::unique_ptr<Batch> batch = std::move(*at);
    closed_.erase(at);
    if (latched_) {
      fail(*batch, {Code::io, latched_->message});
      continue;
    }
    if (planted(Plant::late_position)) batch->applied.position = SlotName::of(position_.segment, position_.slot);
    if (planted(Plant::early_position)) batch->applied.position = SlotName::of(sealed_at_.segment, sealed_at_.slot);
    if (planted(Plant::replayed_twice)) co_await sink_.apply(batch->applied);
    if (batch->seal) {
      sealed_at_ = batch->at;
      record_bytes_sealed_ = batch->records_before;
      sealed_bytes_ = batch->written_before;
      co_await sink_.seal(batch->applied.number);
    }
    if (!planted(Plant::replayed_twice)) co_await sink_.apply(batch->applied);
    applied_ = batch->applied.number;
    finish(*batch);
  }
}

void Log::no_longer_under_way(u64 blocks) {
  blocks_under_way_ -= blocks;
  some_applied_.notify_all();
}

void Log::finish(Batch& batch) {
  no_longer_under_way(batch.data_blocks);
  for (const Waiter& waiter : batch.waiters) {
    const auto& results = waiter.is_command ? batch.applied.command_results : batch.applied.data_results;
    *waiter.status = results[waiter.index];
    runtime_.post(waiter.handle);
  }
  for (auto& [handle, number] : batch.sealers) {
    *number = batch.applied.number;
    runtime_.post(handle);
  }
}

void Log::fail(Batch& batch, const Error& why) {
  no_longer_under_way(batch.data_blocks);
  for (const Waiter& waiter : batch.waiters) {
    *waiter.status = why;
    runtime_.post(waiter.handle);
  }
  for (auto& [handle, number] : batch.sealers) {
    *number = why;
    runtime_.post(handle);
  }
}

// --- flushing -------------------------------------------------------------------------------------------------------

Task<Status> Log::flush() {
  const u64 target = applied_;
  while (flushed_ < target) {
    if (latched_) co_return Error{Code::io, latched_->message};
    if (flushing_) {
      co_await flush_done_.wait();
      continue;
    }
    // One device flush serves all who wait; who comes while it runs waits for the next one.
    flushing_ = true;
    u64 covers = applied_;
    Status status;
    if (!planted(Plant::no_flush)) status = co_await flusher_.flush();
    if (planted(Plant::flush_covers_more)) covers = applied_;
    if (planted(Plant::flush_error_ignored)) status = Status{};
    flushing_ = false;
    if (status) {
      flushed_ = std::max(flushed_, covers);
    } else if (planted(Plant::flush_error_forgotten)) {
      flush_done_.notify_all();
      co_return status;
    } else {
      latch({Code::io, fmt::format("a flush failed, so nobody knows what is on disk: {}", status.error().message)});
    }
    flush_done_.notify_all();
    if (status && !marking_ && !closing_) gate_.spawn(mark_flush());
  }
  if (latched_) co_return Error{Code::io, latched_->message};
  co_return Status{};
}

Task<void> Log::mark_flush() {
  marking_ = true;
  co_await runtime_.sleep(marker_delay_ns);
  marking_ = false;
  if (closing_ || latched_ || logged_flush_ >= flushed_ || !open_->empty()) co_return;
  open_->linking = true;
  work_.notify_all();
}

void Log::checkpoint_durable(u64 number) {
  checkpoint_number_ = number;
  record_bytes_dropped_ = record_bytes_sealed_;
}

}  // namespace brindle
