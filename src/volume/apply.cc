// apply.cc: what each record of a batch does to catalog and maps, live and in replay alike.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/planted.h"
#include "volume/core.h"

namespace brindle {

namespace {

// A page that a command needs and the device does not read is asked for again: for a second in all.
constexpr u64 command_tries = 10;
constexpr u64 command_pause_ns = 100 * millisecond_ns;

bool unread(const Status& status) { return !status && status.code() == Code::io; }

}  // namespace

/// Nearly all batches are data alone, over nodes that are in memory: those need no coroutine.
Task<void> EngineCore::apply(AppliedBatch& batch) {
  batch.command_results.resize(batch.records.commands.size());
  batch.data_results.resize(batch.records.data.size());
  DataAt at{.name = batch.first_data, .crcs = batch.records.crcs.data(), .missing = {}};
  maps_.fetch(batch.records.data);
  if (!batch.records.commands.empty() || !apply_data(batch, at)) return apply_waiting(batch, std::move(at));
  if (maps_.reclaiming()) reclaim_.notify_all();
  return {};
}

Task<void> EngineCore::apply_waiting(AppliedBatch& batch, DataAt at) {
  if (planted(Plant::data_first)) co_await apply_all_data(batch, at);
  for (size_t i = 0; i < batch.records.commands.size(); ++i) {
    Status status = co_await apply_command(batch, batch.records.commands[i]);
    // It stands in the log, and the next opening carries it out: what is acknowledged from here on must not be built on its not having
    // happened.
    for (u64 tries = 0; unread(status) && pool_.is_open() && tries < command_tries; ++tries) {
      co_await runtime_.sleep(command_pause_ns);
      status = co_await apply_command(batch, batch.records.commands[i]);
    }
    if (unread(status) && pool_.is_open()) {
      pool_.latch({Code::io, fmt::format("a command that stands in the log cannot be carried out, since a page of a map cannot be read ({}): "
                                         "start the daemon again once the device works, which does it first", status.error().message)});
    }
    if (watcher_ != nullptr) watcher_->applied(batch.number, batch.records.commands[i], status);
    batch.command_results[i] = std::move(status);
  }
  if (!planted(Plant::data_first)) co_await apply_all_data(batch, at);
  if (maps_.reclaiming()) reclaim_.notify_all();
}

Task<void> EngineCore::apply_all_data(AppliedBatch& batch, DataAt& at) {
  std::vector<PagePtr> held;  // what a record needs stays until it is applied
  for (size_t waits = at.record; !apply_data(batch, at);) {
    if (std::exchange(waits, at.record) != at.record) held.clear();
    Status loaded = co_await maps_.load(*at.missing, held);
    if (!loaded) ended(batch, at, std::move(loaded));
  }
}

/// Applies the data records from `at` on. False: it has come to one that needs the page that is `missing` there.
bool EngineCore::apply_data(AppliedBatch& batch, DataAt& at) {
  while (at.record < batch.records.data.size()) {
    const DataRecord& record = batch.records.data[at.record];
    Root* const head = written_head(record);
    if (head == nullptr) {
      ended(batch, at, Error{Code::not_found, "the volume was deleted or made smaller"});
      continue;
    }
    at.missing = maps_.write_needs(*head, record.first_block, record.count);
    if (at.missing) return false;
    maps_.write(*head, batch.number, record.first_block, record.count, record.zero ? SlotName{} : at.name,
                record.zero ? nullptr : at.crcs);
    ended(batch, at, {});
  }
  return true;
}

/// The record has taken effect, or never will; `at` goes on behind it.
void EngineCore::ended(AppliedBatch& batch, DataAt& at, Status status) {
  const DataRecord& record = batch.records.data[at.record];
  const u64 blocks = record.data_blocks();
  if (watcher_ != nullptr) watcher_->applied(batch.number, record, {at.crcs, blocks}, status);
  if (!status && !planted(Plant::lost_write)) {
    for (u64 block = 0; block < blocks; ++block) pool_.space().free_block(at.name.plus(block));
  }
  batch.data_results[at.record++] = std::move(status);
  at.name = at.name.plus(blocks);
  at.crcs += blocks;
}

/// None: a lower number deleted it, or made it too small.
Root* EngineCore::written_head(const DataRecord& record) {
  Root* const head = maps_.find(record.head);
  if (head == nullptr || head->kind != RootKind::head) return nullptr;
  const u64 blocks = head->size / block_size;
  const bool within = record.first_block < blocks && record.count <= blocks - record.first_block;
  return within || planted(Plant::write_past_end) ? head : nullptr;
}

namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

const Error missing_entry{Code::not_found, "the volume or snapshot is gone"};

}  // namespace

Task<Status> EngineCore::apply_command(const AppliedBatch& batch, const Command& command) {
  if (const auto* resize = std::get_if<ResizeVolume>(&command)) co_return co_await apply_resize(batch, *resize);
  if (const auto* discard = std::get_if<DiscardLeaves>(&command)) co_return co_await apply_discard(batch, *discard);
  Status status = std::visit(
      Overloaded{
          [&](const CreateVolume& make) { return apply_create(batch, make); },
          [&](const CreateSnapshots& make) { return apply_snapshots(batch, make); },
          [&](const CreateClones& make) { return apply_clones(batch, make); },
          [&](const RollBack& back) { return apply_rollback(batch, back); },
          [&](const RemoveEntries& remove) { return apply_remove(remove); },
          [&](const RenameEntry& rename_to) -> Status {
            Entry* entry = catalog_.find(rename_to.entry);
            if (entry == nullptr) return missing_entry;
            catalog_.rename(*entry, rename_to.name);
            return {};
          },
          [&](const ProtectEntry& protect) -> Status {
            Entry* entry = catalog_.find(protect.entry);
            if (entry == nullptr) return missing_entry;
            entry->record.is_protected = protect.on;
            catalog_.changed(*entry);
            return {};
          },
          [&](const LabelEntry& label) -> Status {
            Entry* entry = catalog_.find(label.entry);
            if (entry == nullptr) return missing_entry;
            entry->record.labels = label.labels;
            catalog_.changed(*entry);
            return {};
          },
          [&](const ResizeVolume&) -> Status { return {}; },
          [&](const DiscardLeaves&) -> Status { return {}; },
      },
      command);
  co_return status;
}

Entry& EngineCore::add_entry(const NewEntry& made, Entry* volume, EntryId origin, u64 created_ns, u64 size,
                             const LabelMap& labels) {
  seen(made.root);
  catalog_.next_id = std::max(catalog_.next_id, made.entry + 1);
  return catalog_.add({.id = made.entry,
                       .is_snapshot = volume != nullptr,
                       .root = made.root,
                       .volume = volume != nullptr ? volume->record.id : 0,
                       .origin = origin,
                       .created_ns = created_ns,
                       .size = size,
                       .name = made.name,
                       .uuid = made.uuid,
                       .labels = labels});
}

Status EngineCore::apply_create(const AppliedBatch& batch, const CreateVolume& command) {
  const NewEntry& made = command.volume;
  maps_.create(made.root, batch.number, batch.position, command.size, made.entry);
  add_entry(made, nullptr, 0, command.created_ns, command.size, command.labels);
  return {};
}

Status EngineCore::apply_snapshots(const AppliedBatch& batch, const CreateSnapshots& command) {
  for (const CreateSnapshots::One& one : command.snapshots) {
    Entry* const volume = catalog_.find(one.volume);
    Root* const head = volume != nullptr ? maps_.find(volume->record.root) : nullptr;
    if (head == nullptr) return missing_entry;
    maps_.snapshot(one.snapshot.root, batch.number, batch.position, *head, one.snapshot.entry);
    add_entry(one.snapshot, volume, 0, command.created_ns, head->size, command.labels);
  }
  return {};
}

Status EngineCore::apply_clones(const AppliedBatch& batch, const CreateClones& command) {
  Entry* const source = catalog_.find(command.source);
  Root* from = source != nullptr ? maps_.find(source->record.root) : nullptr;
  if (from == nullptr) return missing_entry;
  if (command.hidden != 0) {
    seen(command.hidden);
    from = &maps_.snapshot_hidden(command.hidden, batch.number, batch.position, *from);
  }
  for (const NewEntry& made : command.clones) {
    maps_.clone(made.root, batch.number, batch.position, *from, made.entry);
    add_entry(made, nullptr, command.source, command.created_ns, from->size, command.labels);
  }
  return {};
}

Status EngineCore::apply_rollback(const AppliedBatch& batch, const RollBack& command) {
  for (const RollBack::One& one : command.volumes) {
    Entry* const volume = catalog_.find(one.volume);
    Entry* const snapshot = catalog_.find(one.snapshot);
    Root* const head = volume != nullptr ? maps_.find(volume->record.root) : nullptr;
    Root* const from = snapshot != nullptr ? maps_.find(snapshot->record.root) : nullptr;
    if (head == nullptr || from == nullptr) return missing_entry;
    seen(one.saved.root);
    const u64 size_before = head->size;
    maps_.roll_back(one.saved.root, batch.number, batch.position, *head, *from, one.saved.entry);
    if (one.saved.entry != 0) {
      add_entry(one.saved, volume, volume->record.origin, command.created_ns, size_before, {});
      ++volume->record.saved_count;
    }
    volume->record.size = head->size;
    volume->record.origin = snapshot->record.id;
    catalog_.changed(*volume);
  }
  return {};
}

Status EngineCore::apply_remove(const RemoveEntries& command) {
  for (EntryId id : command.entries) {
    Entry* const entry = catalog_.find(id);
    if (entry == nullptr || entry->deleted()) return missing_entry;
    Root* const root = maps_.find(entry->record.root);
    CHECK(root != nullptr);
    maps_.remove(*root);
    catalog_.remove(*entry);
  }
  return {};
}

Task<Status> EngineCore::apply_resize(const AppliedBatch& batch, ResizeVolume command) {
  Entry* const volume = catalog_.find(command.volume);
  Root* const head = volume != nullptr ? maps_.find(volume->record.root) : nullptr;
  if (head == nullptr) co_return missing_entry;
  seen(command.hidden);
  const u64 old_blocks = head->size / block_size;
  const u64 blocks = command.size / block_size;
  const u64 first_leaf = div_up(blocks, leaf_blocks);
  const u64 cut_first = blocks;  // of the leaf that stays in part
  const u64 cut_count = std::min(first_leaf * leaf_blocks, old_blocks) - std::min(blocks, old_blocks);
  std::vector<PagePtr> held;
  for (;;) {
    Missing missing;
    if (blocks >= old_blocks) {
      missing = maps_.grow(*head, command.size, batch.number);
    } else {
      if (cut_count > 0) missing = maps_.write_needs(*head, cut_first, cut_count);
      if (!missing) missing = maps_.cut(command.hidden, batch.number, batch.position, *head, first_leaf, head->leaves());
    }
    if (!missing) break;
    Status loaded = co_await maps_.load(*missing, held);
    if (!loaded) co_return loaded;
  }
  if (blocks < old_blocks) {
    const bool cuts = cut_count > 0 && !planted(Plant::shrink_keeps);
    if (cuts) maps_.write(*head, batch.number, cut_first, cut_count, {}, nullptr);
    maps_.sized(*head, command.size);
  }
  volume->record.size = command.size;
  catalog_.changed(*volume);
  co_return Status{};
}

Task<Status> EngineCore::apply_discard(const AppliedBatch& batch, DiscardLeaves command) {
  seen(command.hidden);
  Root* const head = maps_.find(command.head);
  if (head == nullptr || head->kind != RootKind::head) co_return missing_entry;
  std::vector<PagePtr> held;
  while (const Missing missing = maps_.cut(command.hidden, batch.number, batch.position, *head, command.first_leaf,
                                           command.first_leaf + command.count)) {
    Status loaded = co_await maps_.load(*missing, held);
    if (!loaded) co_return loaded;
  }
  // Nobody waited before a discard that is found in the log.
  while (!pool_.is_open() && maps_.cuts() > cuts_max && co_await maps_.reclaim_step()) continue;
  co_return Status{};
}

}  // namespace brindle
