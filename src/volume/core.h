// core.h: the engine: catalog and maps over one pool.
//
// Holds:  1. One command at a time is checked, logged and applied, so what was checked still holds when it takes effect.
//         2. All changes happen in `apply`, in number order, from the log or from its replay alike.
#pragma once

#include "map/compare.h"
#include "map/maps.h"
#include "volume/catalog.h"
#include "volume/engine.h"
#include "volume/range_locks.h"

namespace brindle {

/// Sees each record of the log take effect, in the very step in which it does, live and in replay alike: how a simulator
/// knows the order of what was asked at once. It only looks.
class ApplyWatcher {
 public:
  virtual ~ApplyWatcher() = default;
  virtual void applied(u64 number, const Command& command, const Status& status) = 0;
  /// `crcs`: of its blocks.
  virtual void applied(u64 number, const DataRecord& record, std::span<const u32> crcs, const Status& status) = 0;
};

/// Discards of large parts of volumes that may wait for the reclaimer at a time: a write looks at those of its volume.
inline constexpr u64 cuts_max = 64;

class EngineCore final : public Engine, public PoolClient {
 public:
  EngineCore(Runtime& runtime, Device& device, EngineOptions options);
  ~EngineCore() override;
  Task<Status> open();

  // --- Engine
  Task<Status> close() override;
  Result<std::unique_ptr<Handle>> open_handle(std::string_view name, bool read_only) override;
  std::unique_ptr<Outpost> outpost(Reactor& core) override;
  Task<Result<EntryInfo>> volume_create(std::string name, u64 size, Labels labels) override;
  Task<Status> volume_resize(std::string name, u64 size, bool force) override;
  Task<Status> rename(std::string from, std::string to) override;
  Task<Status> snapshot_create(std::vector<std::string> names, Labels labels) override;
  Task<Status> snapshot_protect(std::string name, bool on) override;
  Task<Status> clone(std::string source, std::vector<std::string> names, Labels labels) override;
  Task<Result<std::vector<std::string>>> rollback(std::vector<std::string> snapshots, bool discard,
                                                  bool force) override;
  Task<Status> remove(std::vector<std::string> names, bool with_snapshots, bool force) override;
  Task<Status> set_labels(std::string name, Labels labels) override;
  Task<Status> change_labels(std::string name, Labels set, std::vector<std::string> removed) override;
  Result<EntryInfo> show(std::string_view name) override;
  std::vector<EntryInfo> list(bool snapshots, std::string_view volume) override;
  ListPiece list_piece(ListQuery query, ListKey key, std::string after, u64 count_max) override;
  std::vector<EntryInfo> infos(std::vector<u64> ids) override;
  std::vector<TreeNode> tree() override;
  Task<Result<EntryInfo>> measure(std::string name) override;
  Task<Result<u64>> frees(std::vector<std::string> names, bool with_snapshots) override;
  Task<Result<std::vector<DiffRange>>> diff(std::string from, std::string to) override;
  PoolStatus status() override;
  Task<Status> sync() override;
  Task<Status> pool_grow(u64 size) override;
  Task<Result<std::unique_ptr<Hold>>> hold_checkpoint() override;
  Task<Status> tidy(std::vector<std::string> names, Progress* progress) override;
  Task<Result<std::vector<DamageRange>>> scrub(Progress* progress) override;

  // --- for tests
  void watch(ApplyWatcher* watcher) { watcher_ = watcher; }
  PoolCounters pool_counters() const { return pool_.counters(); }
  /// Data blocks that are allocated.
  u64 live_blocks() { return pool_.space().live_blocks(); }
  /// Bytes of pages and tables.
  u64 table_bytes() { return pool_.space().live_page_bytes() + pool_.space().table_bytes(); }
  /// Volumes, snapshots and hidden roots.
  u64 roots() const { return maps_.roots().size(); }
  /// Number of the last batch that took effect.
  u64 last_batch() const { return pool_.applied(); }

  // --- PoolClient
  Task<void> before_seal() override;
  Task<void> seal(u64 number) override;
  Task<Status> write_pages(PageSink& to) override { return maps_.write_pages(to); }
  std::vector<Bucket> sealed_buckets() override;
  void checkpoint_done(bool durable) override;
  void counters(u64& next_root, u64& next_entry) const override;
  void load_counters(u64 next_root, u64 next_entry) override;
  Status load_bucket(TableId table, u64 key, Bytes bytes) override;
  Status tables_loaded() override;
  Task<void> apply(AppliedBatch& batch) override;
  u64 dirty_bytes() const override { return maps_.dirty_bytes(); }
  CheckpointWork work() const override { return maps_.work(); }
  bool dirty() const override { return maps_.dirty() || catalog_.dirty(); }
  Task<bool> reclaim_some(bool retry) override;

 private:
  friend class HandleCore;
  friend class OutpostCore;
  /// Counts one request or command for close() to wait for.
  class UnderWay {
   public:
    explicit UnderWay(EngineCore& engine) : engine_(engine) { ++engine_.under_way_; }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    ~UnderWay() {
      if (--engine_.under_way_ == 0) engine_.quiet_.notify_all();
    }

   private:
    EngineCore& engine_;
  };

  // apply.cc: what each command does. The ids are in it; nothing here can fail but for a damaged map.
  Task<Status> apply_command(const AppliedBatch& batch, const Command& command);
  /// How far the data records of a batch are applied.
  struct DataAt {
    size_t record = 0;
    SlotName name;              // of its first block, or of that of the next one that has any
    const u32* crcs = nullptr;  // of its blocks
    Missing missing;            // the page that it waits for
  };
  Task<void> apply_waiting(AppliedBatch& batch, DataAt at);
  Task<void> apply_all_data(AppliedBatch& batch, DataAt& at);
  bool apply_data(AppliedBatch& batch, DataAt& at);
  void ended(AppliedBatch& batch, DataAt& at, Status status);
  Root* written_head(const DataRecord& record);
  Status apply_create(const AppliedBatch& batch, const CreateVolume& command);
  Status apply_snapshots(const AppliedBatch& batch, const CreateSnapshots& command);
  Status apply_clones(const AppliedBatch& batch, const CreateClones& command);
  Status apply_rollback(const AppliedBatch& batch, const RollBack& command);
  Status apply_remove(const RemoveEntries& command);
  Task<Status> apply_resize(const AppliedBatch& batch, ResizeVolume command);
  Task<Status> apply_discard(const AppliedBatch& batch, DiscardLeaves command);
  Entry& add_entry(const NewEntry& made, Entry* volume, EntryId origin, u64 created_ns, u64 size, const LabelMap& labels);
  void seen(RootId root) { next_root_ = std::max(next_root_, root + 1); }

  // commands.cc: each `plan` checks and gives the command that does it, or says why not; nothing waits in it.
  template <class Plan>
  Task<Status> commit(Plan plan, std::vector<std::string> exchanged = {});
  template <class Plan>
  Task<Status> commit_with_room(Plan plan);
  Status writable() const;
  Status has_room() const;
  Status check_new_volume(std::string_view name) const;
  Result<Command> plan_snapshots(const std::vector<std::string>& names, const Labels& labels);
  Result<Command> plan_clones(const std::string& source, const std::vector<std::string>& names, const Labels& labels);
  Result<Command> plan_rollback(const std::vector<std::string>& snapshots, bool discard, bool force,
                                std::vector<std::string>& saved);
  Result<Command> plan_remove(const std::vector<std::string>& names, bool with_snapshots, bool force);
  Result<Command> plan_rename(const std::string& from, const std::string& to);
  Result<Command> plan_resize(const std::string& name, u64 size, bool force);
  Result<std::vector<Entry*>> resolve(const std::vector<std::string>& names, bool with_snapshots) const;
  NewEntry new_entry(std::string name);

  // tidy.cc
  struct Tidying;
  struct Row {
    u64 first = 0;  // block of a volume
    u64 count = 0;
  };
  std::vector<Row> scattered(const Root& head, u64 leaf, std::span<const BlockAt> blocks, u64& shared);
  Task<void> rewrite(Row row, Tidying& tidying);
  Task<bool> read_alone(RootId root, Row row, std::span<BlockAt> at, MutBytes into);
  Task<Status> tidy_volume(Tidying& tidying);

  EntryInfo info(const Entry& entry) const;
  Task<void> run_reclaimer();
  Task<void> run_retrier();
  Task<Status> discard_leaves(DiscardLeaves command);
  std::shared_ptr<RangeLocks> locks(RootId head);
  void fit_cache();
  std::string health() const;

  Runtime& runtime_;
  Device& device_;
  EngineOptions options_;
  Pool pool_;
  Maps maps_;
  Catalog catalog_;
  RootId next_root_ = 1;
  Mutex commanding_;
  Mutex walking_;  // of those that look at a long part of a map: whose turn the next one is
  Signal reclaim_;
  Signal reclaimed_;
  Signal retry_;
  u64 cutting_ = 0;  // large discards that are on their way into the log
  Gate gate_;
  u64 under_way_ = 0;  // requests and commands that close() waits for
  Signal quiet_;
  std::unordered_map<RootId, std::weak_ptr<RangeLocks>> locks_;
  bool stopping_ = false;
  ApplyWatcher* watcher_ = nullptr;

  struct Counters {
    u64 reads = 0, read_bytes = 0, writes = 0, write_bytes = 0, flushes = 0;
  } counted_;
};

/// Snapshots, clones and volumes that are open; see engine.h.
class HandleCore final : public Handle {
 public:
  HandleCore(EngineCore& engine, Entry& entry, bool read_only);
  ~HandleCore() override;

  u64 size() const override;
  bool read_only() const override { return read_only_; }
  std::string name() const override;
  Task<Status> read(u64 offset, MutBytes into) override;
  Task<Status> write(u64 offset, Bytes from, bool fua) override { return write_summed(offset, from, fua, nullptr); }
  /// `crcs`: of whole blocks, where another core has made them; they stay until it returns.
  Task<Status> write_summed(u64 offset, Bytes from, bool fua, const u32* crcs);
  Task<Status> zero(u64 offset, u64 length, bool fua) override;
  Task<Status> discard(u64 offset, u64 length, bool fua) override;
  Task<Status> flush() override;
  Task<Result<std::vector<Extent>>> extents(u64 offset, u64 length, u64 count_max) override;

 private:
  friend class OutpostCore;
  Status check(u64 offset, u64 length, bool change) const;
  Task<void> read_part(u64 offset, MutBytes into, Status& status);
  Task<Status> write_part(u64 offset, Bytes from, const u32* crcs = nullptr);
  Task<void> write_parallel(u64 offset, Bytes from, const u32* crcs, Status& failed);
  Task<Status> read_blocks(u64 first_block, std::span<std::byte* const> into);
  Task<Status> zero_blocks(u64 first, u64 end);
  Task<Status> zero_range(u64 offset, u64 length, bool edges);

  EngineCore& engine_;
  EntryId entry_;
  RootId root_;
  bool read_only_;
  std::shared_ptr<RangeLocks> locks_;
};

}  // namespace brindle
