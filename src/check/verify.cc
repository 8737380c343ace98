#include "check/verify.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/aligned.h"
#include "check/log_check.h"
#include "check/map_walk.h"

namespace brindle {

namespace {

// A superblock may be written while it is read, online: a torn copy is looked at again.
constexpr int superblock_looks = 3;
constexpr u64 superblock_pause_ns = 20 * millisecond_ns;

class Verifier {
 public:
  Verifier(Runtime& runtime, Device& device, const VerifyOptions& options, VerifyProgress& progress)
      : runtime_(runtime), options_(options), progress_(progress), disk_(device, options, progress), family_(findings_) {}

  Task<Result<CheckReport>> run();

 private:
  struct Bucket {
    DirectoryEntry entry;
    bool good = false;
  };

  Task<Status> load_superblock();
  Task<Result<Superblock>> read_copy(u64 offset);
  void check_superblock();
  Task<void> load_root();
  Task<void> load_directory(const std::vector<Place>& places);
  void place_tables();
  Task<void> load_buckets();
  bool load_bucket(const DirectoryEntry& entry, Bytes bytes);
  bool load_segments(const DirectoryEntry& entry, Bytes bytes);
  void apply_changes();
  void lost(TableId table);
  bool load_debts(u64 key, Bytes bytes);
  Task<bool> claim_debts();
  Task<bool> claim_debt(PageStore& pages, const PageRef& page, const Debt& debt);
  void claim(SlotName name, u64 slots, SegmentKind kind);
  Task<void> walk_maps();
  Task<void> tell_damage(MapWalk& walk, Holders& holders);
  SlotName position() const { return SlotName::of(superblock_.log_segment, superblock_.log_slot); }
  bool whole(TableId table) const { return whole_[static_cast<size_t>(table)]; }
  void table_fault(const Place& place, const Error& why);

  Runtime& runtime_;
  VerifyOptions options_;
  VerifyProgress& progress_;
  Findings findings_;
  DiskReader disk_;
  Family family_;
  std::unique_ptr<SegmentMap> segments_;
  std::unique_ptr<SegmentTable> segment_table_;
  std::map<u64, std::pair<Place, std::vector<std::byte>>> changes_;  // of it, by the superblock's generation
  Superblock superblock_;
  CheckpointRoot root_;
  std::vector<Bucket> buckets_;
  std::vector<Place> tables_;  // all that lies in chunks of tables
  std::array<bool, table_count> whole_{true, true, true, true, true, true};
  std::vector<DebtRecord> debts_;
  CheckReport report_;
};

// --- superblocks ----------------------------------------------------------------------------------------------------

Task<Result<Superblock>> Verifier::read_copy(u64 offset) {
  AlignedBuffer block(block_size);
  Error why{Code::corrupt, "it cannot be read"};
  for (int look = 0; look < superblock_looks; ++look) {
    if (look > 0) co_await runtime_.sleep(superblock_pause_ns);
    const MutBytes into = block.span();
    const Status status = co_await disk_.read_blocks(offset, into);
    if (!status) {
      why = status.error();
      continue;
    }
    auto parsed = parse_superblock(into);
    if (parsed) co_return parsed;
    why = parsed.error();
    if (why.code != Code::corrupt) break;
  }
  co_return why;
}

Task<Status> Verifier::load_superblock() {
  if (disk_.size() < superblock_b_offset + block_size) {
    co_return Error{Code::invalid, "it is too short to be a Brindle pool"};
  }
  const u64 offsets[] = {0, superblock_b_offset};
  std::vector<Result<Superblock>> copies;
  for (u64 offset : offsets) {
    auto copy = co_await read_copy(offset);
    copies.push_back(std::move(copy));
  }
  const Superblock* best = nullptr;
  const Error* why = nullptr;
  for (const auto& copy : copies) {
    if (copy && (best == nullptr || copy->generation > best->generation)) best = &*copy;
    if (!copy && (why == nullptr || copy.code() != Code::invalid)) why = &copy.error();
  }
  if (best == nullptr) co_return *why;
  superblock_ = *best;
  for (size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].ok()) {
      disk_.checked(offsets[i], block_size, "superblock");
    } else {
      findings_.pool("superblock", offsets[i], block_size, copies[i].error().message);
    }
  }
  const bool both = copies[0].ok() && copies[1].ok();
  if (both && copies[0]->generation == copies[1]->generation &&
      std::memcmp(&*copies[0], &*copies[1], sizeof(Superblock)) != 0) {
    findings_.pool("superblock", offsets[1], block_size, "the two superblocks differ");
  }
  co_return Status{};
}

void Verifier::check_superblock() {
  const auto say = [&](bool good, std::string_view what) {
    if (!good) findings_.pool("superblock", 0, block_size, std::string(what));
  };
  say(superblock_.checkpoint_number > 0, "it names no checkpoint");
  say(!options_.uuid || *options_.uuid == superblock_.uuid, "it is of another pool than the labels of its devices");
  say(superblock_.flushed_number >= superblock_.checkpoint_number, "its checkpoint was not durable");
  say(superblock_.segment_limit > 0 && superblock_.segment_limit <= segment_number_max, "its segment limit makes no sense");
  say(superblock_.log_segment < superblock_.segment_limit, "its log's segment was never given");
}

// --- tables ---------------------------------------------------------------------------------------------------------

void Verifier::table_fault(const Place& place, const Error& why) {
  if (why.code == Code::cancelled) return;
  findings_.pool(why.code == Code::io ? "io" : "table", place.offset, place.length,
                 fmt::format("a table of the checkpoint: {}", why.message));
}

void Verifier::lost(TableId table) { whole_[static_cast<size_t>(table)] = false; }

Task<void> Verifier::load_root() {
  const Place place{superblock_.root_offset, superblock_.root_length, superblock_.root_crc};
  auto bytes = co_await disk_.read(place, "root");
  Error why{Code::corrupt, "it belongs to another checkpoint"};
  if (bytes) {
    auto root = decode_checkpoint_root(*bytes);
    if (root && root->number == superblock_.checkpoint_number && root->pool == superblock_.uuid) {
      root_ = std::move(*root);
      tables_.push_back(place);
      const std::vector<Place> directory = root_.directory;
      co_await load_directory(directory);
      co_return;
    }
    if (!root) why = root.error();
  } else {
    why = bytes.error();
  }
  table_fault(place, why);
  whole_.fill(false);
}

Task<void> Verifier::load_directory(const std::vector<Place>& places) {
  bool first = true;
  std::pair<TableId, u64> last;
  for (const Place& place : places) {
    tables_.push_back(place);
    auto bytes = co_await disk_.read(place, "directory");
    if (!bytes) {
      table_fault(place, bytes.error());
      whole_.fill(false);
      continue;
    }
    Reader from(*bytes);
    while (from.left() > 0) {
      const DirectoryEntry entry = decode_directory_entry(from);
      if (!from.ok()) {
        table_fault(place, {Code::corrupt, "the directory makes no sense"});
        whole_.fill(false);
        break;
      }
      const std::pair at(entry.table, entry.key);
      if (!first && at <= last) {
        table_fault(place, {Code::corrupt, "the directory is not in order"});
        continue;
      }
      first = false;
      last = at;
      buckets_.push_back({entry, true});
    }
  }
}

/// No two tables overlap. What is out of place is not read at all, so that nothing is read twice.
void Verifier::place_tables() {
  std::sort(buckets_.begin(), buckets_.end(),
            [](const Bucket& a, const Bucket& b) { return a.entry.place.offset < b.entry.place.offset; });
  struct Taken {
    Place place;
    Bucket* bucket;
  };
  std::vector<Taken> taken;
  for (const Place& place : tables_) taken.push_back({place, nullptr});
  for (Bucket& bucket : buckets_) taken.push_back({bucket.entry.place, &bucket});
  std::stable_sort(taken.begin(), taken.end(),
                   [](const Taken& a, const Taken& b) { return a.place.offset < b.place.offset; });
  u64 end = 0;
  for (const Taken& one : taken) {
    segments_->claim_table(one.place);
    const bool inside = disk_.within(one.place.offset, one.place.length);
    if (inside && one.place.offset >= end) {
      end = one.place.offset + one.place.length;
      continue;
    }
    if (inside) table_fault(one.place, {Code::corrupt, "it overlaps another"});
    if (one.bucket == nullptr) continue;
    if (!inside) table_fault(one.place, {Code::corrupt, "it lies beyond the end of the device"});
    one.bucket->good = false;
    lost(one.bucket->entry.table);
  }
}

Task<void> Verifier::load_buckets() {
  for (const Bucket& bucket : buckets_) {
    if (!bucket.good) continue;
    const Place place = bucket.entry.place;
    auto bytes = co_await disk_.read(place, "table");
    if (disk_.stopped()) co_return;
    if (!bytes) {
      table_fault(place, bytes.error());
      lost(bucket.entry.table);
      continue;
    }
    if (load_bucket(bucket.entry, *bytes)) continue;
    table_fault(place, {Code::corrupt, "it makes no sense"});
    lost(bucket.entry.table);
  }
  apply_changes();
  segments_->load(*segment_table_);
}

/// After a table of changes that is lost the later ones still tell more than none.
void Verifier::apply_changes() {
  if (!changes_.empty() && (superblock_.features.incompatible & feature_changes) == 0) {
    findings_.pool("superblock", 0, block_size, "it does not tell of changes of the segment table");
  }
  const Place* last = nullptr;
  for (const auto& [generation, changes] : changes_) {
    last = &changes.first;
    const auto applied = segment_table_->apply(*last, changes.second);
    if (generation > superblock_.generation) table_fault(*last, {Code::corrupt, "changes of a checkpoint to come"});
    if (applied) continue;
    table_fault(*last, applied.error());
    lost(TableId::changes);
  }
  const bool all = whole(TableId::segments) && whole(TableId::changes);
  if (const Status complete = segment_table_->complete(); !complete && all && last != nullptr)
    table_fault(*last, complete.error());
}

bool Verifier::load_segments(const DirectoryEntry& entry, Bytes bytes) {
  if (auto status = segment_table_->load(entry.key, entry.place, bytes); !status) {
    table_fault(entry.place, status.error());
    lost(TableId::segments);
  }
  return true;
}

bool Verifier::load_bucket(const DirectoryEntry& entry, Bytes bytes) {
  if (bytes.empty()) return false;
  switch (entry.table) {
    case TableId::segments: return load_segments(entry, bytes);
    case TableId::changes: changes_[entry.key] = {entry.place, {bytes.begin(), bytes.end()}}; return true;
    case TableId::roots: return family_.load_roots(entry.key, entry.place, bytes);
    case TableId::entries: return family_.load_entries(entry.key, entry.place, bytes);
    case TableId::gone: return family_.load_gone(entry.key, entry.place, bytes);
    case TableId::debts: return load_debts(entry.key, bytes);
  }
  return false;
}

// --- debts ----------------------------------------------------------------------------------------------------------

bool Verifier::load_debts(u64 key, Bytes bytes) {
  Reader from(bytes);
  DebtRecord owed = decode_debts(from);
  if (!from.done() || owed.page.name.raw != key) return false;
  if ((superblock_.features.incompatible & feature_debts) == 0)
    findings_.pool("superblock", 0, block_size, "it does not tell of its debts");
  debts_.push_back(std::move(owed));
  return true;
}

/// What is owed is live, and nobody holds it.
void Verifier::claim(SlotName name, u64 slots, SegmentKind kind) {
  for (u64 i = 0; i < slots; ++i) {
    const SlotName slot = name.plus(i);
    const bool fresh = segments_->reach(slot);
    if (segments_->is_live(slot) && fresh) continue;
    const auto at = segments_->locate(slot, kind);
    findings_.pool("space", at.value_or(0), slot_size(kind),
                   fmt::format("segment {}: owed, and {}", slot.segment(), fresh ? "not marked live" : "held"));
  }
}

/// False: a page cannot be read, so it cannot be told what is owed.
Task<bool> Verifier::claim_debt(PageStore& pages, const PageRef& page, const Debt& debt) {
  auto at = co_await pages.load(page);
  if (!at) co_return false;
  if (debt.entry == debt_of_base) {
    const auto* const patch = std::get_if<PatchData>(&**at);
    if (patch != nullptr && patch->base && (!debt.has_parent || patch->base.birth >= debt.parent_number)) {
      claim(patch->base.name, patch->base.slots(), SegmentKind::pages);
    }
    co_return true;
  }
  SlotName name;
  // As many steps as there can be patches over each other are never taken: births fall.
  for (u64 birth = page.birth + 1;;) {
    if (const auto* const leaf = std::get_if<LeafData>(&**at)) {
      name = leaf->names[debt.entry];
      break;
    }
    const auto* const patch = std::get_if<PatchData>(&**at);
    if (patch == nullptr) co_return false;
    if (patch->covers(debt.entry)) {
      name = patch->names[patch->rank(debt.entry)];
      break;
    }
    const PageRef base = patch->base;
    if (!base) break;
    if (base.birth >= birth) co_return false;
    birth = base.birth;
    at = co_await pages.load(base);
    if (!at) co_return false;
  }
  const bool is_parents = debt.has_parent && name < debt.parent_position;
  if (name && !is_parents) claim(name, 1, SegmentKind::data);
  co_return true;
}

Task<bool> Verifier::claim_debts() {
  PageStore pages(disk_, *segments_);
  bool all_told = true;
  for (const DebtRecord& owed : debts_) {
    if (owed.let_go) claim(owed.page.name, owed.page.slots(), SegmentKind::pages);
    for (const Debt& debt : owed.debts) {
      if (disk_.stopped()) co_return false;
      const bool told = co_await claim_debt(pages, owed.page, debt);
      all_told = all_told && told;
    }
    // More than is written down may be owed.
    all_told = all_told && owed.debts.size() < debts_a_page_max;
  }
  co_return all_told;
}

// --- all of it ------------------------------------------------------------------------------------------------------

Task<void> Verifier::walk_maps() {
  const bool trees_known = whole(TableId::roots) && whole(TableId::gone);
  const MapWalk::Limits limits{superblock_.checkpoint_number, position(), trees_known};
  MapWalk walk(runtime_, disk_, *segments_, findings_, family_, limits, options_.read_data);
  co_await walk.run();
  report_.pages = walk.counts().pages;
  report_.blocks = walk.counts().blocks;
  const bool debts_told = co_await claim_debts();
  if (trees_known && whole(TableId::debts) && debts_told && !walk.incomplete() && !disk_.stopped())
    segments_->report_leaks();
  Holders holders(family_);
  if (walk.any_bad()) co_await tell_damage(walk, holders);
  report_.last_batch = superblock_.checkpoint_number - 1;
  report_.staged = (superblock_.features.incompatible & feature_staged) != 0;
  if (options_.log && !disk_.stopped()) {
    const bool names_known = whole(TableId::roots) && whole(TableId::entries);
    LogCheck log(disk_, superblock_, *segments_, findings_, holders, names_known, options_.read_data);
    co_await log.run();
    report_.batches = log.batches();
    report_.last_batch = log.last_batch();
  }
  holders.report(findings_);
  report_.volumes = holders.volumes();
  report_.snapshots = holders.snapshots();
}

/// What is bad, to everyone who holds it; what only hidden roots hold, to the pool.
Task<void> Verifier::tell_damage(MapWalk& walk, Holders& holders) {
  co_await walk.mark();
  for (CheckedRoot* root : family_.in_order()) {
    if (root->hidden()) continue;
    Ranges ranges = co_await walk.damage_of(*root);
    if (!ranges.empty()) holders.damaged(root->record.id, std::move(ranges));
  }
  for (const auto* bad : {&walk.bad_pages(), &walk.bad_blocks()}) {
    for (const auto& [name, one] : *bad) {
      if (!one.held) findings_.pool(one.kind, one.offset, one.length, one.note);
    }
  }
}

Task<Result<CheckReport>> Verifier::run() {
  if (auto status = co_await load_superblock(); !status) co_return status.error();
  disk_.measure();
  check_superblock();
  segments_ = std::make_unique<SegmentMap>(superblock_.chunk_size, disk_.size(), superblock_.segment_limit, findings_);
  segment_table_ = std::make_unique<SegmentTable>(superblock_.chunk_size);
  co_await load_root();
  const u64 length = root_.chunks_written * superblock_.chunk_size;
  if (root_.chunks_written > disk_.size() / superblock_.chunk_size) {
    findings_.pool("space", disk_.size(), length > disk_.size() ? length - disk_.size() : 0, "the device is cut short");
  }
  place_tables();
  co_await load_buckets();
  progress_.total = disk_.bytes() + segments_->live_page_bytes() + (options_.read_data ? segments_->live_data_bytes() : 0);
  family_.check({superblock_.checkpoint_number, position(), root_.next_root, root_.next_entry, whole(TableId::roots),
                 whole(TableId::entries)});
  co_await walk_maps();
  if (disk_.stopped()) co_return Error{Code::cancelled, "the check was ended"};
  report_.checkpoint = superblock_.checkpoint_number;
  report_.roots = family_.root_count();
  report_.segments = segments_->count();
  report_.bytes = disk_.bytes();
  report_.damage = findings_.take();
  co_return std::move(report_);
}

}  // namespace

Task<Result<CheckReport>> verify(Runtime& runtime, Device& device, VerifyOptions options, VerifyProgress* progress) {
  VerifyProgress unwatched;
  Verifier verifier(runtime, device, options, progress != nullptr ? *progress : unwatched);
  co_return co_await verifier.run();
}

}  // namespace brindle
