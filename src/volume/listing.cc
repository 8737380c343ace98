// listing.cc: long lists in short pieces, and the families as a flat tree.
#include <algorithm>
#include <limits>

#include "base/names.h"
#include "volume/core.h"

namespace brindle {

namespace {

constexpr u64 unknown_key = std::numeric_limits<u64>::max();

bool has_labels(const Entry& entry, const Labels& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
    const auto at = entry.record.labels.find(label.first);
    return at != entry.record.labels.end() && at->second == label.second;
  });
}

u64 key_of(const Entry& entry, ListKey key, u64 applied) {
  const bool counted = entry.counted && entry.counted->at == applied;
  switch (key) {
    case ListKey::name: return 0;
    case ListKey::size: return entry.record.size;
    case ListKey::created: return entry.record.created_ns;
    case ListKey::referenced: return counted ? entry.counted->referenced : unknown_key;
    case ListKey::exclusive: return counted ? entry.counted->exclusive : unknown_key;
  }
  return 0;
}

/// The nearest root above that people can see.
const Root* visible_parent(const Root& root) {
  const Root* parent = root.parent;
  while (parent != nullptr && (parent->hidden() || parent->entry == 0)) parent = parent->parent;
  return parent;
}

}  // namespace

ListPiece EngineCore::list_piece(ListQuery query, ListKey key, std::string after, u64 count_max) {
  ListPiece piece;
  FullName from;
  if (!after.empty()) {
    auto parsed = parse_name(after);
    if (!parsed) return piece;
    from = *parsed;
  }
  u64 left = count_max;
  const auto look_at = [&](const Entry& entry) {
    --left;
    if (!entry.deleted() && has_labels(entry, query.labels)) {
      piece.items.push_back({entry.record.id, key_of(entry, key, pool_.applied())});
    }
  };
  const auto& volumes = catalog_.volumes();
  const std::string& first = from.volume.empty() ? query.volume : from.volume;
  for (auto at = volumes.lower_bound(first); at != volumes.end(); ++at) {
    const auto& [name, volume] = *at;
    if (!query.volume.empty() && name != query.volume) break;
    const bool again = name == from.volume;  // where the last piece ended
    if (!query.snapshots) {
      if (again) continue;
      look_at(*volume);
      if (left == 0) {
        piece.next = name;
        return piece;
      }
      continue;
    }
    const auto& snapshots = volume->snapshots;
    for (auto own = again ? snapshots.upper_bound(from.snapshot) : snapshots.begin(); own != snapshots.end(); ++own) {
      look_at(*own->second);
      if (left == 0) {
        piece.next = own->second->full_name();
        return piece;
      }
    }
  }
  return piece;
}

std::vector<EntryInfo> EngineCore::infos(std::vector<u64> ids) {
  std::vector<EntryInfo> infos;
  infos.reserve(ids.size());
  for (u64 id : ids) {
    const Entry* const entry = catalog_.find(id);
    if (entry != nullptr && !entry->deleted()) infos.push_back(info(*entry));
  }
  return infos;
}

std::vector<TreeNode> EngineCore::tree() {
  // A snapshot is younger than its parent, a head as young as what it continues: by number, heads last, parents come first.
  std::vector<const Root*> roots;
  roots.reserve(maps_.roots().size());
  for (const auto& [id, root] : maps_.roots()) {
    if (!root->hidden() && root->entry != 0) roots.push_back(root.get());
  }
  std::sort(roots.begin(), roots.end(), [](const Root* a, const Root* b) {
    const bool head_a = a->kind == RootKind::head;
    const bool head_b = b->kind == RootKind::head;
    if (head_a != head_b) return head_b;
    return a->number != b->number ? a->number < b->number : a->id < b->id;
  });
  std::vector<TreeNode> nodes;
  nodes.reserve(roots.size());
  for (const Root* root : roots) {
    const Root* const parent = visible_parent(*root);
    nodes.push_back({root->entry, parent != nullptr ? parent->entry : 0});
  }
  return nodes;
}

}  // namespace brindle
