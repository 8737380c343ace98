// pool.h: one open pool: the device, its space, its log and its checkpoints. It knows pages and tables, not what is in them.
//
// Holds:  1. What the client's pages and tables were at a seal is durable, all of it or nothing, when `checkpoint` returns.
//         2. Upkeep runs by itself: checkpoints when the log, the dirty pages or the list of freed names grow; compaction
//            when empty chunks run short; chunks filled ahead of the log; chunks long empty given back to the host.
//            A pool that nobody uses and that has nothing to tidy does nothing.
// Caller: the pool's home core.
// Disk:   see docs/format.md.
// Fails:  read_only once the pool has latched: a write or a flush of the device failed.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/aligned.h"
#include "pool/block_reader.h"
#include "pool/chunk_writer.h"
#include "pool/forecast.h"
#include "pool/holes.h"
#include "pool/log.h"
#include "pool/pace.h"
#include "pool/room_pace.h"
#include "pool/stale_buckets.h"

namespace brindle {

class Pool;

/// A changed bucket of a table: its new bytes, none where it is empty now.
struct Bucket {
  TableId table;
  u64 key;
  std::vector<std::byte> bytes;
};

/// Gives pages of a checkpoint their places.
class PageSink {
 public:
  virtual ~PageSink() = default;
  /// Room for one more page of any length. To be awaited before each `place`.
  virtual Task<Status> reserve() = 0;
  virtual PageRef place(PageKind kind, u64 birth, Bytes bytes) = 0;
  /// Whether the device has the page; until then it can be had from memory alone.
  virtual bool written(const PageRef& page) const = 0;
  /// Writes out all that was placed.
  virtual Task<Status> flush() = 0;
};

/// The owner of the maps and of the catalog. The pool drives it.
class PoolClient {
 public:
  virtual ~PoolClient() = default;
  /// A checkpoint is about to begin: do now what the seal would otherwise have to wait for.
  virtual Task<void> before_seal() = 0;
  /// The state to be written is that of now. After this, the sealed pages change no more.
  virtual Task<void> seal(u64 number) = 0;
  /// On return the device has them all.
  virtual Task<Status> write_pages(PageSink& to) = 0;
  /// The buckets that changed up to the seal, with the places that the pages got.
  virtual std::vector<Bucket> sealed_buckets() = 0;
  virtual void checkpoint_done(bool durable) = 0;
  virtual void counters(u64& next_root, u64& next_entry) const = 0;
  virtual void load_counters(u64 next_root, u64 next_entry) = 0;
  virtual Status load_bucket(TableId table, u64 key, Bytes bytes) = 0;
  /// All buckets are loaded; the replay of the log comes next.
  virtual Status tables_loaded() = 0;
  virtual Task<void> apply(AppliedBatch& batch) = 0;
  /// What the dirty pages take in memory; on disk they will take no more.
  virtual u64 dirty_bytes() const = 0;
  /// What writes are paced by while a checkpoint is under way.
  virtual CheckpointWork work() const = 0;
  /// Does anything wait to be written by a checkpoint?
  virtual bool dirty() const = 0;
  /// Space is wanted: waits until some deletion or debt has given a little back. What waits for a device that did not read is tried
  /// once more with `retry`. False: none is outstanding.
  virtual Task<bool> reclaim_some(bool retry) = 0;
};

/// A pool needs at least so many.
inline constexpr u64 chunks_min = 24;

struct PoolOptions {
  bool create = false;
  bool read_only = false;
  std::optional<Uuid> uuid;  // of a new pool; of one that is there, what it must be
  u64 dirty_memory_max = 64 * MiB;
  // That a checkpoint looks at before requests go on: some 200 us; fewer cost a tenth of all writes. A segment counts for sixteen.
  u64 names_at_once = 4096;
};

struct PoolCounters {
  u64 checkpoints = 0;
  u64 compacted_chunks = 0;
  u64 compacted_bytes = 0;  // written by it
  u64 compaction_read_bytes = 0;
  u64 compaction_ns = 0;  // spent in it, beside the log
  u64 room_wait_ns = 0;   // that the log waited for an empty chunk
  u64 page_bytes_written = 0;
  u64 table_bytes_written = 0;
  u64 log_bytes_written = 0;
  u64 data_bytes_read = 0;
  u64 page_bytes_read = 0;
  u64 replayed_batches = 0;
  u64 replay_us = 0;
  u64 unstaged_bytes = 0;   // at the start
  bool was_staged = false;  // by the opening before, which was not closed in order
};

/// A page as it was read, in memory that the heap knows nothing of: what is read by the thousand is not to cut up what stays.
struct PageBytes {
  AlignedBuffer buffer;
  u64 offset = 0;
  u32 length = 0;
  Bytes bytes() const { return buffer.span().subspan(offset, length); }
};

class Pool {
 public:
  Pool(Runtime& runtime, Device& device, PoolClient& client, PoolOptions options);
  ~Pool();

  /// Loads the tables into the client, replays the log into it, and begins a new epoch.
  /// Fails: invalid, unsupported, corrupt, io; a damaged log opens the pool read-only instead (see latched).
  Task<Status> open();
  /// Ends upkeep, checkpoints and marks the pool as closed in order. Requests must have ended.
  Task<Status> close();

  /// `crcs`: the blocks' checksums, where another core has them; they need not stay.
  Task<Status> write(RootId head, u64 first_block, const std::byte* blocks, u64 count, const u32* crcs = nullptr);
  Task<Status> zero(RootId head, u64 first_block, u64 count);
  Task<Status> command(Command command);
  /// Waits until there is room for something new; a write does so by itself. Fails: no_space, read_only.
  Task<Status> wait_for_room() { return admit(0); }
  Task<Status> flush() { return log_->flush(); }

  /// The bytes of a page, with its checksum compared.
  Task<Result<PageBytes>> read_page(PageRef page);
  /// Reads blocks (their names resolved under a ReadGuard that the caller holds). Marks those whose checksum is wrong.
  /// Fails: io, corrupt (some are damaged).
  Task<Status> read_blocks(std::span<BlockRead> blocks);
  /// Tells where the blocks lie; that holds as long as the guard does. Fails: corrupt.
  Status place_blocks(std::span<BlockRead> blocks);

  /// Writes a checkpoint of all that is applied.
  Task<Status> checkpoint();
  /// It came further: who waits for memory looks again.
  void checkpoint_came_further() { memory_.notify_all(); }
  /// Tries to get empty chunks: a checkpoint, then compaction; and waits for those who look at what is to be given again. False:
  /// nothing was won.
  Task<bool> make_room();
  /// For so long the log has had no room, because somebody looks.
  u64 held_up_ns() const { return held_up_ && wanted_ns_ != 0 ? runtime_.now_ns() - wanted_ns_ : 0; }
  Task<Status> grow(u64 bytes);

  Space& space() { return space_; }
  Log& log() { return *log_; }
  Device& device() { return device_; }
  Runtime& runtime() { return runtime_; }

  // --- the account
  u64 size() const;
  u64 used() const;
  /// What a write can get at once; less than in the end, while writes are under way and pages wait for their checkpoint.
  u64 free() const;
  u64 reclaiming() const { return space_.pending_bytes(); }
  const Uuid& uuid() const { return superblock_.uuid; }
  PoolCounters counters() const;
  /// Number of the last applied batch.
  u64 applied() const { return log_ ? log_->applied() : 0; }
  const std::optional<Error>& latched() const { return latched_; }
  /// The log has been replayed.
  bool is_open() const { return log_ != nullptr; }
  void latch(const Error& why);
  /// Names that are free once the next checkpoint stands are so many that whoever frees more should wait for it.
  bool frees_far_ahead() const;
  /// Something changed: upkeep may have work to do.
  void touch();
  /// The most blocks that one write may have.
  u64 blocks_max() const { return log_->blocks_max(); }

 private:
  class Pages;
  class Sink;
  class Replay;
  struct ReplayEnd {
    u64 next_number = 0;
    u64 flushed_number = 0;
    u64 end = 0;  // byte address behind the last batch
    std::optional<Error> damage;
  };

  // open.cc
  Task<Status> format();
  Task<Status> load_superblock();
  Task<Status> write_superblock();
  Task<Status> load_tables();
  Task<Status> begin_epoch(ReplayEnd end);
  void make_writers();
  // replay.cc
  Task<Result<ReplayEnd>> replay();
  // checkpoint.cc
  Task<Status> write_checkpoint(u64 number, LogPosition log_from);
  Task<Status> write_tables(u64 number);
  Task<void> add_segments(std::vector<Bucket>& buckets);
  Task<Status> clean_table_chunks();
  Task<Result<Place>> put_table(Bytes bytes);
  Task<Result<std::vector<std::byte>>> read_table(Place place);
  void drop_table(const Place& place);
  // victims.cc
  struct Victim {
    u64 chunk;
    bool into_holes;  // of other chunks; otherwise into an empty one
    u64 wins;         // bytes: more are empty then by so many
  };
  std::vector<Victim> victims() const;
  void find_holes(const std::vector<Victim>& chosen);
  bool quiet(u64 chunk) const;
  u64 held_together(u64 chunk) const;
  bool holes_pay(u64 live) const;
  u64 dead_chunks() const;
  u64 room_step() const;
  u64 low_water() const;
  u64 gain_min() const;
  // Blocks that live side by side, so many: they stay together.
  static constexpr u64 long_run = 16;
  // compact.cc
  enum class Compaction : u8 {
    moved,
    nothing,  // is to be won
    held_up,  // somebody who looks may need what is dead to the table
  };
  Task<Compaction> compact();
  /// Returns whether another round may win something.
  Task<bool> compact_idle();
  struct Source;
  struct Move;
  struct HoleWrite;
  Task<void> read_source(Source& source);
  Task<void> read_range(Source& source, const std::vector<u64>& wanted, u64 from, u64 to, Semaphore& under_way,
                        u64 permits);
  Task<Status> evacuate(Source& source);
  Task<Status> copy_segment(Segment& segment, Source& source, std::vector<Move>& moves, std::vector<HoleWrite>& holes);
  Task<Status> write_holes(const std::vector<HoleWrite>& holes);
  Task<void> write_hole(const HoleWrite& hole, Status& status, Semaphore& under_way);
  void settle_targets();
  // room.cc
  Task<Result<u64>> chunk_for_log(bool urgent);
  Task<void> run_room_maker();
  Task<bool> make_room_alone(u64 chunks_before);
  Task<bool> win_room(u64 chunks_before);
  Task<void> let_readers_end(u64 chunks_before);
  u64 spare_chunks() const;
  u64 share_of_log(u64 bytes_won) const;
  void pace_writes();
  void pace_writes(const std::vector<Victim>& chosen);
  void give_log_a_tick();
  void begin_ticks();
  Task<void> tick_while_room_is_made();
  /// Bytes that the log took, or is about to.
  u64 written() const { return log_->device_bytes() + log_->blocks_under_way() * block_size; }
  // upkeep.cc
  /// Chunks ready: the reserve, and some for the log. Never given back to the host.
  static constexpr u64 filled_ahead = kept_from_writes + 6;
  Task<Status> put_superblock(u64 offset);
  Task<Status> fill_one();
  Task<Status> fill(u64 chunk);
  Task<void> punch_empty();
  Task<void> fill_what_the_host_has_given();
  Task<void> run_upkeep();
  Task<void> run_filler();
  Task<void> run_checkpointer();
  bool wants_checkpoint();
  bool admitted(u64 blocks) const;
  Task<Status> admit(u64 blocks);
  Task<Status> write_admitted(RootId head, u64 first_block, const std::byte* blocks, u64 count, const u32* crcs);
  Task<void> checkpoint_once();

  u64 reserve_bytes() const;
  u64 used_at_rest() const;
  /// `free` once all that is under way has ended and a checkpoint is written.
  u64 free_at_rest() const;

  Runtime& runtime_;
  Device& device_;
  Flusher flusher_;
  PoolClient& client_;
  PoolOptions options_;
  Pace pace_;
  RoomPace room_pace_;
  Forecast forecast_;
  Space space_;
  std::unique_ptr<Sink> sink_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<ChunkWriter> page_writer_;
  std::unique_ptr<ChunkWriter> table_writer_;
  std::unique_ptr<ChunkWriter> target_;  // of compaction
  Holes holes_;                          // that it copies into as well
  std::array<AlignedBuffer, 2> victim_bytes_;  // kept from one round to the next: fresh memory costs more than the copy
  std::vector<u64> targets_left_;        // held until all that was copied into them is pointed at
  u64 compaction_reads_ = 0;  // the generation of the compaction under way
  u64 page_segment_ = 0;  // the open one
  u64 page_base_ = 0;     // byte address of its slot 0
  Superblock superblock_;
  u64 durable_number_ = 0;
  std::map<std::pair<TableId, u64>, Place> directory_;
  std::vector<Place> directory_places_;
  StaleBuckets stale_buckets_;
  u64 changes_bytes_ = 0;  // of the table of changes: it comes and goes, and `used` does not count it
  u64 whole_due_ = 0;  // bytes of buckets that are to be written whole, until the next one is reached
  std::optional<Place> root_place_;
  PoolCounters counters_;

  std::set<u64> failing_;  // chunks that compaction could not read, or fill; until the next start

  std::vector<u64> to_punch_;            // chunks that a checkpoint tells of as punched, and that are not yet
  std::optional<u64> worse_superblock_;  // where the copy lies that the opening found to be bad, or older
  std::optional<Error> latched_;
  bool stopping_ = false;
  bool touched_ = false;
  bool tidy_due_ = false;   // chunks may be mostly dead
  bool punch_due_ = false;  // chunks may be empty
  u64 touched_ns_ = 0;
  u64 wanted_ns_ = 0;     // since when the log waits for a chunk; 0: it has one
  bool held_up_ = false;  // who makes room waits for readers
  bool ticking_ = false;  // somebody gives the log its share bit by bit
  u64 log_chunks_ = 0;    // that the log has taken for what is written
  bool waited_ = false;   // the log waited for room since it was last made
  Mutex checkpointing_;
  Mutex compacting_;
  Mutex filling_;
  Mutex making_room_;
  Signal upkeep_;
  Signal filler_;
  Signal room_maker_;
  Signal checkpointer_;
  Signal memory_;  // for changed pages: there may be some again
  Gate gate_;
};

}  // namespace brindle
