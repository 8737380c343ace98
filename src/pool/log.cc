#include "pool/log.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"

namespace brindle {

namespace {

constexpr u64 blocks_a_batch_max = 128;
// A request of 256 KiB at any alignment touches 65 blocks, and it must fit.
constexpr u64 blocks_a_batch_min = 72;
constexpr u64 records_a_batch_max = 64 * KiB;
constexpr size_t spare_max = 4;  // batches that wait for the next requests
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
  open_ = fresh_batch();
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

void Log::Batch::renew() {
  Batch fresh;
  const auto keep = [](auto& list, auto& to) {
    list.clear();
    to = std::move(list);
  };
  keep(applied.records.data, fresh.applied.records.data);
  keep(applied.records.crcs, fresh.applied.records.crcs);
  keep(applied.data_results, fresh.applied.data_results);
  keep(records, fresh.records);
  keep(waiters, fresh.waiters);
  keep(pieces, fresh.pieces);
  *this = std::move(fresh);
}

std::unique_ptr<Log::Batch> Log::fresh_batch() {
  auto batch = spare_.empty() ? std::make_unique<Batch>() : std::move(spare_.back());
  if (!spare_.empty()) spare_.pop_back();
  batch->pieces.emplace_back();
  return batch;
}

void Log::give_back(std::unique_ptr<Batch> batch) {
  if (spare_.size() == spare_max) return;
  batch->renew();
  spare_.push_back(std::move(batch));
}

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
  BatchRecords& records = batch.applied.records;
  batch.pieces.push_back({const_cast<std::byte*>(blocks), count * block_size});
  records.data.push_back({head, first_block, count, false});
  for (u64 i = 0; i < count; ++i) {
    records.crcs.push_back(crcs != nullptr ? crcs[i] : crc32c({blocks + i * block_size, block_size}));
  }
  batch.data_blocks += count;
  batch.record_bytes += record_size(count);
  Join join{*this, {}, false, records.data.size() - 1};
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
    if (next_.number == 0 && !fetching_) co_return why_no_chunk();
  }
  co_return refused();
}

Task<Status> Log::zero(RootId head, u64 first_block, u64 count) {
  if (auto status = refused(); !status) co_return status;
  co_await joining_.acquire();
  co_await room(0, record_size(0), false);
  Batch& batch = *open_;
  batch.applied.records.data.push_back({head, first_block, count, true});
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
    give_back(std::move(batch));
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
