#include "check/holders.h"

#include <algorithm>

#include "base/names.h"

namespace brindle {

Holders::Holders(const Family& family) {
  for (const auto& [id, entry] : family.entries()) {
    const EntryRecord& record = entry.record;
    entries_[id] = {record.name, record.is_snapshot, record.volume, record.root};
    names_[{record.is_snapshot ? record.volume : 0, record.name}] = id;
    if (record.root != 0) maps_[record.root] = {record.size, !record.is_snapshot, {}};
  }
}

void Holders::damaged(RootId root, Ranges ranges) {
  if (const auto at = maps_.find(root); at != maps_.end()) at->second.ranges = std::move(ranges);
}

Holders::Entry* Holders::find(EntryId id) {
  const auto at = entries_.find(id);
  return at == entries_.end() ? nullptr : &at->second;
}

Holders::Map* Holders::map_of(EntryId id) {
  const Entry* const entry = find(id);
  if (entry == nullptr || entry->root == 0) return nullptr;
  const auto at = maps_.find(entry->root);
  return at == maps_.end() ? nullptr : &at->second;
}

bool Holders::name_is_free(EntryId volume, const std::string& name) const {
  return check_name(name).ok() && !names_.contains({volume, name});
}

bool Holders::add(const NewEntry& made, EntryId volume, u64 size, const Ranges& ranges) {
  const bool fresh = made.entry != 0 && made.root != 0 && !entries_.contains(made.entry) && !maps_.contains(made.root);
  if (!fresh || !name_is_free(volume, made.name)) return false;
  names_[{volume, made.name}] = made.entry;
  maps_[made.root] = {size, volume == 0, ranges};
  entries_[made.entry] = {made.name, volume != 0, volume, made.root};
  return true;
}

// --- commands -------------------------------------------------------------------------------------------------------

bool Holders::apply(const Command& command) {
  return std::visit([this](const auto& one) { return apply_one(one); }, command);
}

bool Holders::apply_one(const CreateVolume& command) {
  return check_size(command.size).ok() && add(command.volume, 0, command.size, {});
}

bool Holders::apply_one(const CreateSnapshots& command) {
  bool good = true;
  for (const auto& one : command.snapshots) {
    const Map* const map = map_of(one.volume);
    const bool made = map != nullptr && map->head && add(one.snapshot, one.volume, map->size, Ranges(map->ranges));
    good = good && made;
  }
  return good;
}

bool Holders::apply_one(const CreateClones& command) {
  bool good = true;
  for (const NewEntry& made : command.clones) {
    const Map* const map = map_of(command.source);
    const bool cloned = map != nullptr && add(made, 0, map->size, Ranges(map->ranges));
    good = good && cloned;
  }
  return good;
}

bool Holders::apply_one(const RollBack& command) {
  bool good = true;
  for (const auto& one : command.volumes) {
    const Map* from = map_of(one.snapshot);
    Map* volume = map_of(one.volume);
    if (from == nullptr || volume == nullptr || from->head || !volume->head) {
      good = false;
      continue;
    }
    if (one.saved.entry != 0) {
      const bool saved = add(one.saved, one.volume, volume->size, Ranges(volume->ranges));
      good = good && saved;
      from = map_of(one.snapshot);
      volume = map_of(one.volume);
    }
    volume->size = from->size;
    volume->ranges = from->ranges;
  }
  return good;
}

bool Holders::remove(EntryId id) {
  Entry* const entry = find(id);
  if (entry == nullptr || entry->root == 0) return false;
  maps_.erase(entry->root);
  entry->root = 0;
  const bool was_snapshot = entry->is_snapshot;
  const EntryId volume = was_snapshot ? entry->volume : id;
  if (was_snapshot) {
    names_.erase({volume, entry->name});
    entries_.erase(id);
  }
  // A deleted volume stays, as a name, while it has snapshots.
  const Entry* const left = find(volume);
  const auto snapshot = names_.lower_bound({volume, ""});
  const bool has_snapshots = snapshot != names_.end() && snapshot->first.first == volume;
  if (left != nullptr && left->root == 0 && !has_snapshots) {
    names_.erase({0, left->name});
    entries_.erase(volume);
  }
  return true;
}

bool Holders::apply_one(const RemoveEntries& command) {
  bool good = true;
  for (EntryId id : command.entries) {
    const bool removed = remove(id);
    good = good && removed;
  }
  return good;
}

bool Holders::apply_one(const ResizeVolume& command) {
  Map* const map = map_of(command.volume);
  if (map == nullptr || !map->head || !check_size(command.size)) return false;
  map->size = command.size;
  map->ranges.erase(command.size / block_size, ~u64{0});
  return true;
}

bool Holders::apply_one(const DiscardLeaves& command) {
  const auto at = maps_.find(command.head);
  if (at == maps_.end() || !at->second.head) return true;  // deleted by a lower number: refused
  const u64 leaves = volume_size_max / block_size / leaf_blocks;
  const u64 first = std::min(command.first_leaf, leaves);
  const u64 count = std::min(command.count, leaves - first);
  at->second.ranges.erase(first * leaf_blocks, (first + count) * leaf_blocks);
  return true;
}

bool Holders::apply_one(const RenameEntry& command) {
  Entry* const entry = find(command.entry);
  if (entry == nullptr || !name_is_free(entry->is_snapshot ? entry->volume : 0, command.name)) return false;
  auto node = names_.extract({entry->is_snapshot ? entry->volume : 0, entry->name});
  if (node.empty()) return false;
  node.key().second = command.name;
  names_.insert(std::move(node));
  entry->name = command.name;
  return true;
}

bool Holders::apply_one(const ProtectEntry& command) { return find(command.entry) != nullptr; }
bool Holders::apply_one(const LabelEntry& command) { return find(command.entry) != nullptr; }

// --- data -----------------------------------------------------------------------------------------------------------

void Holders::apply(const DataRecord& record) {
  const auto at = maps_.find(record.head);
  if (at == maps_.end() || !at->second.head) return;
  const u64 blocks = at->second.size / block_size;
  if (record.first_block >= blocks || record.count > blocks - record.first_block) return;  // refused
  at->second.ranges.erase(record.first_block, record.first_block + record.count);
}

void Holders::damaged_data(RootId head, u64 block, Bad bad) {
  const auto at = maps_.find(head);
  if (at == maps_.end() || !at->second.head || block >= at->second.size / block_size) return;
  from_log_.push_back(std::move(bad));
  at->second.ranges.add(block, block + 1, &from_log_.back());
}

// --- telling --------------------------------------------------------------------------------------------------------

void Holders::report(Findings& findings) const {
  for (const auto& [id, entry] : entries_) {
    const auto at = maps_.find(entry.root);
    if (at == maps_.end() || at->second.ranges.empty()) continue;
    std::string name = entry.name;
    if (entry.is_snapshot) {
      const auto volume = entries_.find(entry.volume);
      name = (volume == entries_.end() ? "?" : volume->second.name) + "@" + entry.name;
    }
    for (const auto& [first, piece] : at->second.ranges.pieces()) {
      findings.volume(name, piece.bad->kind, first * block_size, (piece.end - first) * block_size, piece.bad->note);
    }
  }
}

u64 Holders::volumes() const {
  return static_cast<u64>(std::count_if(entries_.begin(), entries_.end(), [](const auto& item) {
    return !item.second.is_snapshot && item.second.root != 0;
  }));
}

u64 Holders::snapshots() const {
  return static_cast<u64>(
      std::count_if(entries_.begin(), entries_.end(), [](const auto& item) { return item.second.is_snapshot; }));
}

}  // namespace brindle
