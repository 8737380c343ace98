// log.h: the log: requests join an open batch, a batch goes to the device in one write, and takes effect in number order.
//
// Holds:  1. A batch takes its number, its place and the names of its blocks when it closes. It closes when the one before
//            completes, when it is as large as that and no other is under way, or when it is full or has a command: no timers, so one
//            writer alone sees one device write of latency.
//         2. Batches are applied and acknowledged in number order, whatever order the device completes them in.
//         3. The last slots of a segment are kept for a batch that only names the successor, so replay always finds the way,
//            and for the summary of all its batches, so that replay seldom has to read them. A summary costs nothing when it is
//            lost, so nobody waits for it; but its segment stays open until the device has it.
// Caller: the pool's home core.
// Disk:   when write, zero or command returns ok, the device has the batch; flush makes it durable.
// Fails:  io and read_only once a batch or a flush failed (the pool has latched); no_space when no segment is to be had,
//         before anything changed.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/aligned.h"
#include "device/device.h"
#include "format/summary.h"
#include "pool/flusher.h"
#include "pool/space.h"
#include "runtime/sync.h"

namespace brindle {

/// A batch on its way into the maps; the same when it comes from a client and when it is replayed.
struct AppliedBatch {
  u64 number = 0;
  SlotName position;    // the first name of this batch: what a snapshot in it records
  SlotName first_data;  // the name of its first data block
  BatchRecords records;
  std::vector<Status> command_results;  // as many as commands
  std::vector<Status> data_results;     // as many as data records: refused where a lower number deleted the volume
};

/// What the log drives. All calls come from one coroutine, one after the other.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual Task<void> apply(AppliedBatch& batch) = 0;
  /// All batches below `number` are applied, and nothing above: the state that a checkpoint writes.
  virtual Task<void> seal(u64 number) = 0;
  /// The log cannot go on: nothing may be written any more.
  virtual void latch(const Error& why) = 0;
};

struct LogPosition {
  u64 segment = 0;
  u64 chunk = 0;   // that holds it, from `base` on
  u64 base = 0;    // byte address of the segment's slot 0
  u32 slot = 0;    // the next free one
};

class Log {
 public:
  struct Options {
    Uuid pool{};
    u64 epoch = 0;
    u64 next_number = 1;
    u64 checkpoint_number = 0;
  };
  struct NewSegment {
    u64 number = 0;
    u64 chunk = 0;
  };
  /// Gives the chunk of a new segment, and waits for one; when it is urgent (nothing can go on without it) out of the
  /// last reserve. Fails: no_space.
  using ChunkSource = std::function<Task<Result<u64>>(bool urgent)>;

  Log(Runtime& runtime, Device& device, Flusher& flusher, Space& space, LogSink& sink, ChunkSource chunks, Options options);
  ~Log();

  /// Begins a segment in `chunk` at byte `base`, and starts to write.
  void start(u64 chunk, u64 base);
  /// Lets what is under way finish. Nothing may be appended any more.
  Task<void> close();

  // --- requests; each returns when it is applied
  /// Counts a write of so many blocks as under way. To be called in the step in which room for it was found, before `write`.
  void promise(u64 blocks) { blocks_under_way_ += blocks; }
  /// `crcs`: the blocks' checksums, none where they are still to be had. `count` blocks are promised.
  Task<Status> write(RootId head, u64 first_block, const std::byte* blocks, u64 count, const u32* crcs = nullptr);
  Task<Status> zero(RootId head, u64 first_block, u64 count);
  Task<Status> command(Command command);
  /// A batch number with the state of all batches below it sealed (LogSink::seal has run).
  Task<Result<u64>> seal();
  /// Everything applied when it was called is durable on return.
  Task<Status> flush();

  // --- what checkpoints and `status` want to know
  LogPosition sealed_at() const { return sealed_at_; }
  void checkpoint_durable(u64 number);
  u64 blocks_max() const { return blocks_max_; }
  u64 applied() const { return applied_; }
  u64 flushed() const { return flushed_; }
  /// Bytes of records that replay would need.
  u64 replay_bytes() const { return record_bytes_ - record_bytes_dropped_; }
  /// Bytes written since the last seal.
  u64 bytes_since_seal() const { return written_bytes_ - sealed_bytes_; }
  /// Bytes that went to the device since the start: data, records, headers and summaries.
  u64 device_bytes() const { return device_bytes_; }
  /// Data blocks that are promised and not applied yet.
  u64 blocks_under_way() const { return blocks_under_way_; }
  /// Until some of these are applied, or have failed.
  Signal::Wait some_applied() { return some_applied_.wait(); }
  u64 batches() const { return next_number_; }
  bool latched() const { return latched_.has_value(); }
  void latch(const Error& why);

 private:
  struct Waiter {
    std::coroutine_handle<> handle;
    Status* status;
    bool is_command;
    size_t index;
  };
  struct Batch {
    AppliedBatch applied;
    std::vector<iovec> pieces;  // for the device: a place for the records, and the data
    std::vector<std::vector<std::byte>> encoded_commands;
    u64 data_blocks = 0;
    u64 record_bytes = sizeof(BatchHeader);
    Writer records;  // encoded when it closes
    u64 record_blocks = 0;
    u64 records_before = 0;  // bytes of records and of all, of the batches below
    u64 written_before = 0;
    bool closed_to_commands = false;
    bool seal = false;
    bool complete = false;
    bool linking = false;  // carries nothing but its header
    LogPosition at;
    std::vector<Waiter> waiters;
    std::vector<std::pair<std::coroutine_handle<>, Result<u64>*>> sealers;

    bool empty() const { return waiters.empty() && !seal && !linking; }
    /// As new, but for the memory of its lists: without, each batch would make a dozen of them.
    void renew();
  };
  struct Join {
    Log& log;
    Status status;
    bool is_command;
    size_t index;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      log.open_->waiters.push_back({handle, &status, is_command, index});
    }
    Status await_resume() { return std::move(status); }
  };

  std::unique_ptr<Batch> fresh_batch();
  void give_back(std::unique_ptr<Batch> batch);
  bool fits(u64 blocks, u64 record_bytes, bool command) const;
  Task<void> room(u64 blocks, u64 record_bytes, bool command);
  bool full() const;
  bool hasty() const;
  bool may_close() const;
  Task<void> run_writer();
  Task<void> run_applier();
  static void encode_records(Batch& batch);
  Task<bool> next_segment();
  bool has_room(u64 slots, u64 record_bytes) const;
  Task<bool> place(Batch& batch);
  Task<void> write_summary(u64 segment, u64 end, std::vector<std::byte> bytes);
  Task<void> write_batch(Batch* batch);
  bool wants_successor() const;
  Task<Status> successor();
  Task<void> fetch_next();
  bool offer(const Result<u64>& chunk);
  Error why_no_chunk() const;
  Task<void> mark_flush();
  void fail(Batch& batch, const Error& why);
  void no_longer_under_way(u64 blocks);
  void finish(Batch& batch);
  Status refused() const;

  Runtime& runtime_;
  Device& device_;
  Flusher& flusher_;
  Space& space_;
  LogSink& sink_;
  ChunkSource chunks_;
  Options options_;
  u64 blocks_max_;
  u64 record_bytes_max_;

  std::unique_ptr<Batch> open_;
  std::deque<std::unique_ptr<Batch>> closed_;  // in number order, until applied
  std::vector<std::unique_ptr<Batch>> spare_;
  u64 in_flight_ = 0;         // batches
  u64 blocks_in_flight_ = 0;  // of their data
  LogPosition position_;
  u64 slots_ = 0;            // of the current segment
  std::optional<SummaryBuilder> summary_;  // of the current segment; none where its records are too many to stand there twice
  NewSegment next_;          // the successor, named in advance
  u64 named_next_ = 0;       // the successor that the last batch named
  bool fetching_ = false;
  Status no_chunk_;          // why the last fetch gave none
  bool header_due_ = false;  // the segment's header goes out with its first batch

  u64 next_number_;
  u64 applied_;              // number of the last applied batch
  u64 flushed_;
  u64 logged_flush_ = 0;     // the flushed position that some batch on disk tells
  u64 checkpoint_number_;
  LogPosition sealed_at_;

  u64 record_bytes_ = 0, record_bytes_dropped_ = 0, record_bytes_sealed_ = 0;
  u64 written_bytes_ = 0, sealed_bytes_ = 0;
  u64 blocks_under_way_ = 0;
  u64 device_bytes_ = 0;

  std::optional<Error> latched_;
  bool closing_ = false;
  bool writer_done_ = false;
  bool flushing_ = false;
  bool marking_ = false;
  Mutex joining_;
  Signal work_;       // for the writer
  Signal completed_;  // for the applier
  Signal room_;       // the open batch was closed
  Signal flush_done_;
  Signal next_ready_;
  Signal some_applied_;
  Gate loops_;  // the writer and the applier
  Gate gate_;   // what they spawn
};

}  // namespace brindle
