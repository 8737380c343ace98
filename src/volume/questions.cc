// questions.cc: what there is, what it takes, and what differs. Nothing here changes anything.
#include <algorithm>

#include <fmt/format.h>

#include "base/names.h"
#include "volume/core.h"

namespace brindle {

EntryInfo EngineCore::info(const Entry& entry) const {
  EntryInfo info;
  info.id = entry.record.id;
  info.name = entry.full_name();
  info.uuid = uuid_text(entry.record.uuid);
  info.is_snapshot = entry.is_snapshot();
  if (info.is_snapshot) info.volume = entry.volume->record.name;
  info.size = entry.record.size;
  if (const Entry* origin = catalog_.find(entry.record.origin)) {
    if (!origin->deleted()) info.origin = origin->full_name();
  }
  info.created_ns = entry.record.created_ns;
  if (entry.counted && entry.counted->at == pool_.applied()) {
    info.referenced = entry.counted->referenced;
    info.exclusive = entry.counted->exclusive;
  }
  info.clients = entry.readers + entry.writers;
  info.writers = entry.writers;
  info.is_protected = entry.record.is_protected;
  info.deleted = entry.deleted();
  info.labels = entry.record.labels;
  return info;
}

Result<EntryInfo> EngineCore::show(std::string_view name) {
  auto entry = catalog_.lookup(name);
  if (!entry) return entry.error();
  return info(**entry);
}

std::vector<EntryInfo> EngineCore::list(bool snapshots, std::string_view volume) {
  std::vector<EntryInfo> list;
  for (const auto& [name, entry] : catalog_.volumes()) {
    if (!volume.empty() && name != volume) continue;
    if (!snapshots) {
      if (!entry->deleted()) list.push_back(info(*entry));
      continue;
    }
    for (const auto& [own, snapshot] : entry->snapshots) list.push_back(info(*snapshot));
  }
  return list;
}

Task<Result<EntryInfo>> EngineCore::measure(std::string name) {
  const UnderWay under_way(*this);
  auto entry = catalog_.lookup(name);
  if (!entry) co_return entry.error();
  const EntryId id = (*entry)->record.id;
  const RootId root = (*entry)->record.root;
  const u64 at = pool_.applied();
  auto referenced = co_await count_blocks(maps_, root, stopping_);
  if (!referenced) co_return referenced.error();
  std::vector<RootId> alone(1, root);
  auto exclusive = co_await count_freed(maps_, std::move(alone), stopping_);
  if (!exclusive) co_return exclusive.error();
  Entry* const still = catalog_.find(id);
  if (still == nullptr) co_return Error{Code::not_found, fmt::format("{} was deleted meanwhile", name)};
  still->counted = Entry::Counted{*referenced * block_size, *exclusive * block_size, at};
  EntryInfo counted = info(*still);
  counted.referenced = *referenced * block_size;
  counted.exclusive = *exclusive * block_size;
  co_return counted;
}

Task<Result<u64>> EngineCore::frees(std::vector<std::string> names, bool with_snapshots) {
  const UnderWay under_way(*this);
  auto entries = resolve(names, with_snapshots);
  if (!entries) co_return entries.error();
  std::vector<RootId> roots;
  for (const Entry* entry : *entries) roots.push_back(entry->record.root);
  auto blocks = co_await count_freed(maps_, std::move(roots), stopping_);
  if (!blocks) co_return blocks.error();
  co_return *blocks * block_size;
}

Task<Result<std::vector<DiffRange>>> EngineCore::diff(std::string from, std::string to) {
  const UnderWay under_way(*this);
  auto a = catalog_.lookup(from);
  if (!a) co_return a.error();
  auto b = catalog_.lookup(to);
  if (!b) co_return b.error();
  const auto family = [&](const Entry& entry) {
    const Root* root = maps_.find(entry.record.root);
    while (root->parent != nullptr) root = root->parent;
    return root->id;
  };
  if (family(**a) != family(**b)) {
    co_return Error{Code::invalid, fmt::format("{} and {} share no history: a diff needs two of one family (`brindle tree`)",
                                               from, to)};
  }
  auto blocks = co_await diff_roots(maps_, (*a)->record.root, (*b)->record.root, stopping_);
  if (!blocks) co_return blocks.error();
  std::vector<DiffRange> ranges;
  for (const BlockDiff& diff : *blocks) {
    ranges.push_back({diff.first_block * block_size, diff.count * block_size, diff.zero ? Change::zero : Change::data});
  }
  co_return ranges;
}

}  // namespace brindle
