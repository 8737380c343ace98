#include "check/family.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "base/names.h"

namespace brindle {

namespace {

constexpr u8 height_max = 5;

/// Leaves that a tree of that height has room for, in bytes of the volume.
u64 bytes_of_height(u8 height) { return (leaf_blocks * block_size) << (8 * std::min<u8>(height, 4)); }

}  // namespace

// --- loading --------------------------------------------------------------------------------------------------------

bool Family::load_roots(u64 key, const Place& place, Bytes bytes) {
  Reader from(bytes);
  u64 last = 0;
  while (from.left() > 0) {
    RootRecord record = decode_root(from);
    if (!from.ok() || record.height == 0 || record.height > height_max) return false;
    const RootId id = record.id;
    if (id / roots_a_bucket != key || id <= last || roots_.contains(id)) {
      wrong(place, fmt::format("root {} stands twice, or in the wrong place", id));
      continue;
    }
    last = id;
    auto root = std::make_unique<CheckedRoot>();
    root->record = record;
    root->place = place;
    roots_[id] = std::move(root);
  }
  return true;
}

bool Family::load_entries(u64 key, const Place& place, Bytes bytes) {
  Reader from(bytes);
  u64 last = 0;
  while (from.left() > 0) {
    EntryRecord record = decode_entry(from);
    if (!from.ok()) return false;
    const EntryId id = record.id;
    if (id / entries_a_bucket != key || id <= last) {
      wrong(place, fmt::format("catalog entry {} stands twice, or in the wrong place", id));
      continue;
    }
    last = id;
    entries_.try_emplace(id, CheckedEntry{std::move(record), place});
  }
  return true;
}

bool Family::load_gone(u64 key, const Place& place, Bytes bytes) {
  Reader from(bytes);
  GoneBucket bucket{key >> gone_root_shift, place, {}};
  const u64 group = key & ((u64{1} << gone_root_shift) - 1);
  while (from.left() > 0) {
    GoneRecord record = decode_gone(from);
    if (!from.ok()) return false;
    const bool upward = bucket.records.empty() || record.leaf > bucket.records.back().leaf;
    if (record.leaf / gone_leaves_a_bucket != group || !upward) {
      wrong(place, fmt::format("what root {} let go at leaf {} stands twice, or in the wrong place", bucket.root,
                               record.leaf));
      continue;
    }
    bucket.records.push_back(record);
  }
  gone_.push_back(std::move(bucket));
  return true;
}

CheckedRoot* Family::find(RootId id) const {
  const auto at = roots_.find(id);
  return at == roots_.end() ? nullptr : at->second.get();
}

std::string Family::full_name(const EntryRecord& entry) const {
  if (!entry.is_snapshot) return entry.name;
  const auto volume = entries_.find(entry.volume);
  return (volume == entries_.end() ? "?" : volume->second.record.name) + "@" + entry.name;
}

// --- judging --------------------------------------------------------------------------------------------------------

void Family::check(const FamilyLimits& limits) {
  for (GoneBucket& bucket : gone_) {
    CheckedRoot* const root = find(bucket.root);
    if (root == nullptr || !root->hidden()) {
      if (limits.roots_known || root != nullptr) {
        wrong(bucket.place, fmt::format("root {} is no hidden one, and has let something go", bucket.root));
      }
      continue;
    }
    for (const GoneRecord& record : bucket.records) root->gone.emplace(record.leaf, record);
  }
  gone_.clear();
  for (auto& [id, root] : roots_) check_root(*root, limits);
  for (const auto& [id, entry] : entries_) check_entry(entry, limits);
  check_names();
  tie(limits);
  put_in_order();
  for (const CheckedRoot* root : in_order_) check_tree(*root);
  if (!limits.roots_known) return;
  const auto branches = static_cast<u64>(std::count_if(in_order_.begin(), in_order_.end(), [](const CheckedRoot* root) {
    return root->record.kind == RootKind::branch;
  }));
  if (branches > 0 && branches >= in_order_.size() - branches) {
    wrong(in_order_.front()->place, "there are more branch points than roots to hang from them");
  }
}

void Family::check_root(CheckedRoot& root, const FamilyLimits& limits) {
  const RootRecord& record = root.record;
  const auto say = [&](bool good, std::string_view what) {
    if (!good) wrong(root.place, fmt::format("root {}: {}", record.id, what));
  };
  say(record.id < limits.next_root, "its number was never given");
  say(record.number > 0 && record.number < limits.number, "it is younger than the checkpoint");
  say(record.position < limits.position, "it records a name younger than the checkpoint");
  say(record.size % block_size == 0 && record.size > 0 && record.size <= volume_size_max, "its size makes no sense");
  say(record.size <= bytes_of_height(record.height), "it is too low for its size");
  say(!record.map || record.map.kind == PageKind::node, "its map does not begin with a node");
  say(record.cursor == 0 || record.kind == RootKind::dying, "it has a cursor and does not die");
  say(record.cursor < root.leaves(), "its cursor is beyond its end");
  say(root.hidden() == (record.entry == 0), root.hidden() ? "it is hidden and has a name" : "it has no name");
  if (record.entry == 0) return;
  const auto entry = entries_.find(record.entry);
  if (entry == entries_.end()) {
    say(!limits.entries_known, "nothing in the catalog names it");
    return;
  }
  say(entry->second.record.root == record.id, "its entry in the catalog names another root");
}

void Family::check_entry(const CheckedEntry& entry, const FamilyLimits& limits) {
  const EntryRecord& record = entry.record;
  const auto say = [&](bool good, std::string_view what) {
    if (!good) wrong(entry.place, fmt::format("catalog entry {}: {}", record.id, what));
  };
  say(record.id < limits.next_entry, "its number was never given");
  say(record.origin < limits.next_entry, "its origin was never there");
  say(check_size(record.size).ok(), "its size makes no sense");
  say(check_name(record.name).ok(), "its name is malformed");
  say(record.labels.size() <= labels_max, "it has too many labels");
  if (record.is_snapshot) {
    say(record.root != 0, "a snapshot without a map");
    const auto volume = entries_.find(record.volume);
    const bool known = volume != entries_.end();
    say(known || !limits.entries_known, "a snapshot of no volume");
    say(!known || !volume->second.record.is_snapshot, "a snapshot of a snapshot");
  } else {
    say(record.volume == 0, "a volume that belongs to another");
    say(!record.is_protected, "a volume that is protected");
  }
  if (record.root == 0) return;
  const CheckedRoot* const root = find(record.root);
  if (root == nullptr) {
    findings_.volume(full_name(record), "table", 0, record.size, "its root cannot be found");
    return;
  }
  say(root->record.entry == record.id, "its root belongs to another");
  say(root->record.kind == (record.is_snapshot ? RootKind::snapshot : RootKind::head), "its root is of another kind");
  say(root->record.size == record.size, "its root has another size");
}

void Family::check_names() {
  std::set<std::pair<EntryId, std::string_view>> names;
  std::set<Uuid> uuids;
  std::unordered_set<EntryId> with_snapshots;
  for (const auto& [id, entry] : entries_) {
    const EntryRecord& record = entry.record;
    if (!names.emplace(record.is_snapshot ? record.volume : 0, record.name).second) {
      wrong(entry.place, fmt::format("catalog entry {}: another has the same name", id));
    }
    if (!uuids.insert(record.uuid).second) {
      wrong(entry.place, fmt::format("catalog entry {}: another has the same uuid", id));
    }
    if (record.is_snapshot) with_snapshots.insert(record.volume);
  }
  for (const auto& [id, entry] : entries_) {
    if (entry.record.is_snapshot || entry.record.root != 0 || with_snapshots.contains(id)) continue;
    wrong(entry.place, fmt::format("catalog entry {}: a deleted volume of which no snapshot is left", id));
  }
}

// --- the tree -------------------------------------------------------------------------------------------------------

void Family::tie(const FamilyLimits& limits) {
  for (auto& [id, root] : roots_) {
    if (root->record.parent == 0) continue;
    CheckedRoot* const parent = find(root->record.parent);
    if (parent == nullptr || parent == root.get()) {
      if (limits.roots_known) wrong(root->place, fmt::format("root {}: its parent is none", id));
      continue;
    }
    root->parent = parent;
    parent->children.push_back(root.get());
  }
  for (auto& [id, root] : roots_) {
    std::sort(root->children.begin(), root->children.end(),
              [](const CheckedRoot* a, const CheckedRoot* b) { return a->record.id < b->record.id; });
  }
}

void Family::put_in_order() {
  std::vector<CheckedRoot*> tops;
  for (auto& [id, root] : roots_) tops.push_back(root.get());
  // Those without a parent first; whatever is left after them goes round in a circle.
  std::sort(tops.begin(), tops.end(), [](const CheckedRoot* a, const CheckedRoot* b) {
    return std::pair(a->parent != nullptr, a->record.id) < std::pair(b->parent != nullptr, b->record.id);
  });
  std::unordered_set<const CheckedRoot*> seen;
  for (CheckedRoot* top : tops) {
    if (!seen.insert(top).second) continue;
    if (top->parent != nullptr) {
      wrong(top->place, fmt::format("root {}: it is its own ancestor", top->record.id));
      std::erase(top->parent->children, top);
      top->parent = nullptr;
    }
    std::vector<CheckedRoot*> next{top};
    while (!next.empty()) {
      CheckedRoot* const root = next.back();
      next.pop_back();
      in_order_.push_back(root);
      for (auto child = root->children.rbegin(); child != root->children.rend(); ++child) {
        if (seen.insert(*child).second) next.push_back(*child);
      }
    }
  }
}

void Family::check_tree(const CheckedRoot& root) {
  const auto say = [&](bool good, std::string_view what) {
    if (!good) wrong(root.place, fmt::format("root {}: {}", root.record.id, what));
  };
  say(root.record.kind != RootKind::head || root.children.empty(), "a volume that something hangs from");
  say(root.record.kind != RootKind::dying || root.children.size() < 2, "it dies and has several children");
  say(root.record.kind != RootKind::branch || root.children.size() >= 2, "a branch point with less than two children");
  if (root.parent == nullptr) return;
  say(root.parent->record.number <= root.record.number, "it is older than its parent");
  say(root.parent->record.position <= root.record.position, "it records an older name than its parent");
  say(root.parent->record.height <= root.record.height, "it is lower than its parent");
}

}  // namespace brindle
