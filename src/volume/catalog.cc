#include "volume/catalog.h"

#include <fmt/format.h>

#include "base/names.h"
#include "base/planted.h"

namespace brindle {

Entry* Catalog::find(EntryId id) const {
  const auto at = entries_.find(id);
  return at == entries_.end() ? nullptr : at->second.get();
}

Entry* Catalog::volume_named(std::string_view name) const {
  const auto at = volumes_.find(name);
  return at == volumes_.end() ? nullptr : at->second;
}

std::vector<Entry*> Catalog::all() const {
  std::vector<Entry*> all;
  all.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) all.push_back(entry.get());
  return all;
}

Result<Entry*> Catalog::lookup(std::string_view name) const {
  auto parsed = parse_name(name);
  if (!parsed) return parsed.error();
  Entry* const volume = volume_named(parsed->volume);
  if (parsed->snapshot.empty()) {
    if (volume == nullptr || volume->deleted()) {
      return Error{Code::not_found, fmt::format("there is no volume {}: `brindle volume list` shows those there are",
                                                parsed->volume)};
    }
    return volume;
  }
  if (volume != nullptr) {
    const auto at = volume->snapshots.find(parsed->snapshot);
    if (at != volume->snapshots.end()) return at->second;
  }
  return Error{Code::not_found, fmt::format("there is no snapshot {}: `brindle snapshot list` shows those there are", name)};
}

Entry& Catalog::add(EntryRecord record) {
  auto made = std::make_unique<Entry>();
  Entry& entry = *made;
  entry.record = std::move(record);
  if (entry.is_snapshot()) {
    entry.volume = find(entry.record.volume);
    CHECK(entry.volume != nullptr);
    entry.volume->snapshots[entry.record.name] = &entry;
    ++snapshots_;
  } else {
    volumes_[entry.record.name] = &entry;
    if (!entry.deleted()) ++live_volumes_;
  }
  changed(entry);
  entries_[entry.record.id] = std::move(made);
  return entry;
}

void Catalog::remove(Entry& entry) {
  changed(entry);
  if (!entry.is_snapshot()) {
    if (!entry.deleted()) --live_volumes_;
    entry.record.root = 0;
    if (!entry.snapshots.empty()) return;  // its name is still theirs
    volumes_.erase(entry.record.name);
    entries_.erase(entry.record.id);
    return;
  }
  Entry& volume = *entry.volume;
  volume.snapshots.erase(entry.record.name);
  --snapshots_;
  entries_.erase(entry.record.id);
  if (volume.deleted() && volume.snapshots.empty()) {
    changed(volume);
    volumes_.erase(volume.record.name);
    entries_.erase(volume.record.id);
  }
}

void Catalog::rename(Entry& entry, std::string name) {
  auto& by_name = entry.is_snapshot() ? entry.volume->snapshots : volumes_;
  by_name.erase(entry.record.name);
  entry.record.name = std::move(name);
  by_name[entry.record.name] = &entry;
  if (!planted(Plant::rename_forgotten)) changed(entry);
}

void Catalog::seal() {
  for (u64 key : dirty_) {
    Writer to;
    for (EntryId id = key * entries_a_bucket; id < (key + 1) * entries_a_bucket; ++id) {
      if (const Entry* entry = find(id)) encode_entry(to, entry->record);
    }
    sealed_.push_back({TableId::entries, key, to.take()});
  }
  dirty_.clear();
}

Status Catalog::load_bucket(Bytes bytes) {
  Reader from(bytes);
  while (from.left() > 0) {
    auto entry = std::make_unique<Entry>();
    entry->record = decode_entry(from);
    const EntryId id = entry->record.id;
    if (!from.ok() || id == 0 || find(id) != nullptr) return Error{Code::corrupt, "the catalog makes no sense"};
    entries_[id] = std::move(entry);
  }
  return {};
}

Status Catalog::loaded() {
  for (const auto& [id, entry] : entries_) {
    if (!entry->is_snapshot()) {
      volumes_[entry->record.name] = entry.get();
      if (!entry->deleted()) ++live_volumes_;
      continue;
    }
    entry->volume = find(entry->record.volume);
    if (entry->volume == nullptr) return Error{Code::corrupt, fmt::format("snapshot {} has no volume", entry->record.name)};
    entry->volume->snapshots[entry->record.name] = entry.get();
    ++snapshots_;
  }
  return {};
}

}  // namespace brindle
