#include "sim/state.h"

#include <algorithm>
#include <unordered_set>

namespace brindle::sim {

std::string head_of(const std::string& name) { return name.substr(0, name.find('@')); }
bool names_snapshot(const std::string& name) { return name.find('@') != std::string::npos; }

const Object* State::find(EntryId id) const {
  const auto at = objects_.find(id);
  return at == objects_.end() ? nullptr : at->second.get();
}

std::string State::name_of(const Object& object) const {
  if (!object.is_snapshot()) return object.own;
  const Object* const volume = find(object.volume);
  return (volume != nullptr ? volume->own : "?") + "@" + object.own;
}

const Object* State::named(const std::string& name) const {
  for (const auto& [id, object] : objects_) {
    if (object->is_snapshot() != names_snapshot(name) || object->deleted) continue;
    if (object->is_snapshot() ? name_of(*object) == name : object->own == name) return object.get();
  }
  return nullptr;
}

const Object* State::with_root(RootId root) const {
  for (const auto& [id, object] : objects_) {
    if (object->root == root && !object->deleted) return object.get();
  }
  return nullptr;
}

bool State::taken(const std::string& volume) const {
  return std::any_of(objects_.begin(), objects_.end(),
                     [&](const auto& item) { return !item.second->is_snapshot() && item.second->own == volume; });
}

std::vector<const Object*> State::snapshots_of(EntryId volume) const {
  std::vector<const Object*> out;
  for (const auto& [id, object] : objects_) {
    if (object->volume == volume) out.push_back(object.get());
  }
  return out;
}

void State::put(Object object) {
  const EntryId id = object.id;
  objects_[id] = std::make_shared<const Object>(std::move(object));
}

void State::remove(EntryId id) {
  const auto at = objects_.find(id);
  if (at == objects_.end()) return;
  const EntryId volume = at->second->volume;
  if (volume == 0 && !snapshots_of(id).empty()) {
    Object left = *at->second;
    left.deleted = true;
    left.root = 0;
    left.content = model::Content();
    put(std::move(left));
    return;
  }
  objects_.erase(at);
  if (volume == 0) return;
  const Object* const of = find(volume);
  if (of != nullptr && of->deleted && snapshots_of(volume).empty()) objects_.erase(volume);
}

u64 State::live_blocks() const {
  std::unordered_set<const std::string*> live;
  for (const auto& [id, object] : objects_) {
    for (const auto& [number, block] : object->content.blocks) live.insert(block.get());
  }
  return live.size();
}

u64 State::freed_blocks(const std::set<EntryId>& ids) const {
  std::unordered_set<const std::string*> freed, kept;
  for (const auto& [id, object] : objects_) {
    auto& to = ids.count(id) > 0 ? freed : kept;
    for (const auto& [number, block] : object->content.blocks) to.insert(block.get());
  }
  u64 count = 0;
  for (const std::string* block : freed) count += kept.count(block) == 0 ? 1 : 0;
  return count;
}

}  // namespace brindle::sim
