#include "volume/core.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/names.h"
#include "base/planted.h"
#include "volume/outpost_core.h"

namespace brindle {

namespace {

// Of the memory that the engine may use: pages in memory unchanged, and pages that the next checkpoint writes. The rest is for the catalog
// and for the segment table; what they have beyond it is missing in the cache.
constexpr u64 cache_part_of_8 = 4;
constexpr u64 dirty_part_of_8 = 3;
constexpr u64 tables_part_of_8 = 1;
constexpr u64 cache_min = 4 * MiB;
// What a catalog entry, its root and its share of the segment table take, as measured with 100,000 snapshots.
constexpr u64 entry_bytes = 700;
// Pages with debts that a seal may find: while writes go on there are always some, and it settles them while the log waits.
constexpr u64 debts_at_seal = 32;
// Steps of the reclaimer between two looks at who else wants to run.
constexpr int steps_a_turn = 8;
constexpr u64 far_ahead_ns = 5 * millisecond_ns;  // that it rests a turn where the pool cannot follow
// Rounds of `sync`: one frees what the last one let go; readers may hold some of it longer.
constexpr int sync_rounds_max = 16;
// Between two tries of what the device does not read.
constexpr u64 first_rest_ns = 1 * second_ns;
constexpr u64 rest_max_ns = 64 * second_ns;
// A write that waits for a check to end, in a pool that is full: longer than this no client should hang.
constexpr u64 hold_up_ns_max = 5 * second_ns;
constexpr u64 rest_tick_ns = 100 * millisecond_ns;  // closing waits no longer

PoolOptions pool_options(const EngineOptions& options) {
  return {.create = options.create,
          .read_only = options.read_only,
          .uuid = options.uuid,
          .dirty_memory_max = options.memory_max * dirty_part_of_8 / 8,
          .names_at_once = options.names_at_once};
}

}  // namespace

EngineCore::EngineCore(Runtime& runtime, Device& device, EngineOptions options)
    : runtime_(runtime),
      device_(device),
      options_(options),
      pool_(runtime, device, *this, pool_options(options)),
      maps_(pool_, options.memory_max * cache_part_of_8 / 8, options.reads_before_merge),
      commanding_(runtime),
      walking_(runtime),
      reclaim_(runtime),
      reclaimed_(runtime),
      retry_(runtime),
      gate_(runtime),
      quiet_(runtime) {}

EngineCore::~EngineCore() = default;

Task<Result<std::unique_ptr<Engine>>> Engine::open(Runtime& runtime, Device& device, EngineOptions options) {
  auto engine = std::make_unique<EngineCore>(runtime, device, options);
  const Status status = co_await engine->open();
  if (!status) co_return status.error();
  std::unique_ptr<Engine> opened = std::move(engine);
  co_return opened;
}

Task<Status> EngineCore::open() {
  if (auto status = co_await pool_.open(); !status) co_return status;
  fit_cache();
  gate_.spawn(run_reclaimer());
  gate_.spawn(run_retrier());
  co_return Status{};
}

Task<Status> EngineCore::close() {
  const bool writable = !pool_.latched();
  stopping_ = true;
  maps_.hurry();
  while (under_way_ > 0) co_await quiet_.wait();
  reclaim_.notify_all();
  reclaimed_.notify_all();
  retry_.notify_all();
  co_await gate_.close();
  if (maps_.stalled() && !pool_.latched()) co_await maps_.retry_stalled(false);
  Status status = co_await pool_.close();
  // What was acknowledged and not flushed may be gone: nobody is to take this for an end in order.
  if (status && writable && pool_.latched()) status = *pool_.latched();
  co_return status;
}

// --- what the pool asks of its client -------------------------------------------------------------------------------

Task<void> EngineCore::before_seal() {
  co_await maps_.settle_debts(debts_at_seal);
  if (maps_.stalled()) retry_.notify_all();
}

Task<void> EngineCore::seal(u64 number) {
  while (maps_.has_debts()) {
    co_await maps_.settle_debts();
    if (planted(Plant::debt_kept)) break;
  }
  maps_.seal(number);
  catalog_.seal();
}

std::vector<Bucket> EngineCore::sealed_buckets() {
  std::vector<Bucket> buckets = maps_.sealed_buckets();
  for (Bucket& bucket : catalog_.sealed_buckets()) buckets.push_back(std::move(bucket));
  return buckets;
}

void EngineCore::checkpoint_done(bool durable) {
  if (durable) fit_cache();
}

void EngineCore::counters(u64& next_root, u64& next_entry) const {
  next_root = next_root_;
  next_entry = catalog_.next_id;
}

void EngineCore::load_counters(u64 next_root, u64 next_entry) {
  next_root_ = next_root;
  catalog_.next_id = next_entry;
}

Status EngineCore::load_bucket(TableId table, u64 key, Bytes bytes) {
  switch (table) {
    case TableId::roots: return maps_.load_roots(bytes);
    case TableId::gone: return maps_.load_gone(key, bytes);
    case TableId::entries: return catalog_.load_bucket(bytes);
    case TableId::debts: return maps_.load_debts(key, bytes);
    case TableId::segments:
    case TableId::changes: break;  // the pool's own
  }
  return Error{Code::corrupt, "the checkpoint's directory names an unknown table"};
}

Status EngineCore::tables_loaded() {
  if (auto status = catalog_.loaded(); !status) return status;
  for (const Entry* entry : catalog_.all()) {
    if (entry->record.root != 0 && maps_.find(entry->record.root) == nullptr) {
      return Error{Code::corrupt, fmt::format("{} has no map", entry->full_name())};
    }
  }
  return maps_.loaded();
}

Task<bool> EngineCore::reclaim_some(bool retry) {
  if (maps_.has_debts()) {
    co_await maps_.settle_debts();
    co_return true;
  }
  if (retry && maps_.stalled() && !stopping_ && !pool_.latched()) {
    co_await maps_.retry_stalled(false);
    reclaim_.notify_all();
    co_return true;
  }
  if (!maps_.reclaiming() || stopping_ || pool_.latched()) co_return false;
  co_await reclaimed_.wait();
  co_return true;
}

// --- the background -------------------------------------------------------------------------------------------------

Task<void> EngineCore::run_reclaimer() {
  while (!stopping_) {
    if (!maps_.reclaiming() || pool_.latched()) {
      reclaimed_.notify_all();
      co_await reclaim_.wait();
      continue;
    }
    for (int step = 0; step < steps_a_turn && !stopping_; ++step) {
      const bool more = co_await maps_.reclaim_step();
      if (!more) break;
    }
    pool_.touch();
    reclaimed_.notify_all();
    if (maps_.stalled()) retry_.notify_all();
    // What it frees is remembered name by name until a checkpoint has it. It slows down and never stops: nobody may have to wait for both.
    if (pool_.frees_far_ahead()) co_await runtime_.sleep(far_ahead_ns);
    co_await runtime_.yield();
  }
  reclaimed_.notify_all();
}

/// Carries the command out once the reclaimer has come past enough of those before it.
Task<Status> EngineCore::discard_leaves(DiscardLeaves command) {
  while (maps_.cuts() + cutting_ >= cuts_max && !stopping_ && !pool_.latched()) co_await reclaimed_.wait();
  Status status = writable();
  if (!status) co_return status;
  ++cutting_;
  status = co_await pool_.command(Command(command));
  --cutting_;
  reclaimed_.notify_all();  // it may have found nothing to take away
  co_return status;
}

/// What waits for a device that does not read is tried again, at once when somebody asks for it (sync), and less and less often
/// by itself.
Task<void> EngineCore::run_retrier() {
  u64 rest_ns = first_rest_ns;
  while (!stopping_) {
    if (!maps_.stalled() || pool_.latched()) {
      rest_ns = first_rest_ns;
      co_await retry_.wait();
      continue;
    }
    for (u64 rested_ns = 0; rested_ns < rest_ns && !stopping_; rested_ns += rest_tick_ns) co_await runtime_.sleep(rest_tick_ns);
    rest_ns = std::min(2 * rest_ns, rest_max_ns);
    if (stopping_) break;
    co_await maps_.retry_stalled(true);
    reclaim_.notify_all();
  }
}

void EngineCore::fit_cache() {
  const u64 tables = (catalog_.size() + maps_.roots().size()) * entry_bytes / 2 + pool_.space().memory_bytes();
  const u64 cache = options_.memory_max * cache_part_of_8 / 8;
  const u64 all = cache + options_.memory_max * tables_part_of_8 / 8;
  const u64 least = std::min(cache_min, options_.memory_max / 4);
  maps_.cache().set_bytes_max(std::clamp(all > tables ? all - tables : 0, least, cache));
}

Task<Status> EngineCore::sync() {
  const UnderWay under_way(*this);
  Status status;
  for (int round = 0; round < sync_rounds_max && status; ++round) {
    if (stopping_) co_return Error{Code::stopping, "the daemon is stopping"};
    if (maps_.stalled() && !pool_.latched()) {
      co_await maps_.retry_stalled(true);
      reclaim_.notify_all();
    }
    while (maps_.reclaiming() && !stopping_ && !pool_.latched()) co_await reclaimed_.wait();
    status = co_await pool_.checkpoint();
    const bool tidy = !maps_.reclaiming() && !dirty() && pool_.reclaiming() == 0 && pool_.log().replay_bytes() == 0;
    if (tidy) break;
  }
  co_return status;
}

Task<Status> EngineCore::pool_grow(u64 size) {
  const UnderWay under_way(*this);
  if (auto status = writable(); !status) co_return status;
  if (auto status = check_size(size); !status) co_return status;
  if (auto status = co_await pool_.grow(size); !status) co_return status;
  co_return co_await pool_.checkpoint();  // the superblock tells the new limit
}

namespace {

class CheckpointHold final : public Engine::Hold {
 public:
  CheckpointHold(Pool& pool, std::unique_ptr<Hold> under_way)
      : under_way_(std::move(under_way)), pool_(pool), guard_(pool.space()) {}
  bool in_the_way() const override { return pool_.held_up_ns() > hold_up_ns_max; }

 private:
  std::unique_ptr<Hold> under_way_;  // goes last
  Pool& pool_;
  ReadGuard guard_;
};

}  // namespace

Task<Result<std::unique_ptr<Engine::Hold>>> EngineCore::hold_checkpoint() {
  struct Request final : Hold {
    explicit Request(EngineCore& engine) : under_way(engine) {}
    UnderWay under_way;
  };
  if (stopping_) co_return Error{Code::stopping, "the daemon is stopping"};
  std::unique_ptr<Hold> request = std::make_unique<Request>(*this);
  if (!pool_.latched()) {
    const Status status = co_await pool_.checkpoint();
    if (!status && !pool_.latched()) co_return status.error();
  }
  std::unique_ptr<Hold> hold = std::make_unique<CheckpointHold>(pool_, std::move(request));
  co_return hold;
}

std::string EngineCore::health() const {
  if (pool_.latched()) return pool_.latched()->message;
  if (maps_.stalled()) {
    return fmt::format("the device does not read {} pages that tell what was overwritten, and holds up {} deletions: their space comes back when it does",
                       maps_.stalled_pages(), maps_.stalled_deletions());
  }
  if (maps_.lost_blocks() > 0) {
    return fmt::format("damage: up to {} bytes that were overwritten or deleted stay allocated, since the pages that named them are lost",
                       maps_.lost_blocks() * block_size);
  }
  return "ok";
}

PoolStatus EngineCore::status() {
  const PoolCounters counters = pool_.counters();
  PoolStatus status;
  status.path = device_.name();
  status.members = device_.parts();
  status.uuid = uuid_text(pool_.uuid());
  status.size = pool_.size();
  if (status.members.size() == 1) status.members.front().size_max = status.size;
  status.allocated = device_.size();
  status.used = pool_.used();
  status.reclaiming = pool_.reclaiming();
  status.free = pool_.free();
  status.volumes = catalog_.volume_count();
  status.snapshots = catalog_.snapshot_count();
  status.writable = !pool_.latched();
  status.health = health();
  status.cache_bytes = maps_.cache().bytes() + maps_.dirty_bytes();
  status.segment_bytes = pool_.space().memory_bytes();
  status.memory_max = options_.memory_max;
  status.cache_hits = maps_.cache().hits();
  status.cache_misses = maps_.cache().misses();
  status.reads = counted_.reads;
  status.read_bytes = counted_.read_bytes;
  status.writes = counted_.writes;
  status.write_bytes = counted_.write_bytes;
  status.flushes = counted_.flushes;
  status.device_written = counters.log_bytes_written + counters.page_bytes_written + counters.table_bytes_written +
                          counters.compacted_bytes;
  status.device_read = counters.data_bytes_read + counters.page_bytes_read + counters.compaction_read_bytes;
  status.log_bytes = pool_.log().bytes_since_seal();
  status.checkpoints = counters.checkpoints;
  status.replayed_batches = counters.replayed_batches;
  status.replay_us = counters.replay_us;
  status.staged = device_.stages();
  status.unstaged_bytes = counters.unstaged_bytes;
  status.was_staged = counters.was_staged;
  return status;
}

// --- handles --------------------------------------------------------------------------------------------------------

std::shared_ptr<RangeLocks> EngineCore::locks(RootId head) {
  std::erase_if(locks_, [](const auto& item) { return item.second.expired(); });
  auto locks = locks_[head].lock();
  if (!locks) locks_[head] = locks = std::make_shared<RangeLocks>(runtime_);
  return locks;
}

Result<std::unique_ptr<Handle>> EngineCore::open_handle(std::string_view name, bool read_only) {
  if (stopping_) return Error{Code::stopping, "the daemon is stopping"};
  auto entry = catalog_.lookup(name);
  if (!entry) return entry.error();
  return std::unique_ptr<Handle>(std::make_unique<HandleCore>(*this, **entry, read_only || (*entry)->is_snapshot()));
}

std::unique_ptr<Outpost> EngineCore::outpost(Reactor& core) { return std::make_unique<OutpostCore>(*this, core); }

HandleCore::HandleCore(EngineCore& engine, Entry& entry, bool read_only)
    : engine_(engine),
      entry_(entry.record.id),
      root_(entry.record.root),
      read_only_(read_only),
      locks_(engine.locks(entry.record.root)) {
  ++(read_only ? entry.readers : entry.writers);
}

HandleCore::~HandleCore() {
  if (Entry* entry = engine_.catalog_.find(entry_)) --(read_only_ ? entry->readers : entry->writers);
}

u64 HandleCore::size() const {
  const Root* root = engine_.maps_.find(root_);
  return root != nullptr ? root->size : 0;
}

std::string HandleCore::name() const {
  const Entry* entry = engine_.catalog_.find(entry_);
  return entry != nullptr ? entry->full_name() : "(deleted)";
}

Status HandleCore::check(u64 offset, u64 length, bool change) const {
  if (engine_.stopping_) return Error{Code::stopping, "the daemon is stopping"};
  const Entry* entry = engine_.catalog_.find(entry_);
  const Root* root = engine_.maps_.find(root_);
  if (entry == nullptr || entry->deleted() || root == nullptr || root->hidden()) {
    return Error{Code::not_found, "the volume was deleted"};
  }
  if (change && read_only_) return Error{Code::read_only, fmt::format("{} is read-only", name())};
  if (offset > root->size || length > root->size - offset) {
    return Error{Code::invalid, fmt::format("bytes {} to {} are not all within {} bytes", offset, offset + length,
                                            root->size)};
  }
  return {};
}

Task<Status> HandleCore::flush() {
  const EngineCore::UnderWay under_way(engine_);
  if (auto status = check(0, 0, false); !status) co_return status;
  ++engine_.counted_.flushes;
  co_return co_await engine_.pool_.flush();
}

}  // namespace brindle
