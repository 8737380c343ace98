// fetch.cc: what the writes of a batch are about to touch is fetched from memory before the first of them.
//
// A write at random into a large map waits for memory four to eight times: for the cache's table, the page, its entry, and the same once more for what is below a
// patch. One wait of a write follows from the one before, but those of different writes do not: asked for side by side they take as long as one.
//
// Holds:  it only looks. Nothing counts as used, nothing is loaded.
#include <algorithm>

#include "map/maps.h"

namespace brindle {

namespace {

constexpr size_t writes_at_once = 32;  // more than a processor waits for at a time, and little enough to be there still when it is wanted
constexpr size_t writes_min = 4;       // for fewer it costs what it saves

void ask_for(const void* line) { __builtin_prefetch(line); }

}  // namespace

/// The page where it is in memory.
const Page* Maps::glance(const Link& link) const {
  if (!link) return nullptr;
  if (const Page* held = link.held()) return held;
  return cache_.peek(link.ref());
}

/// The page at a leaf, as far as all above it is in memory.
const Page* Maps::glance(const Root& root, u64 leaf) const {
  if (leaf >= root.leaves()) return nullptr;
  const Page* page = glance(root.map);
  for (int level = root.height - 1; level >= 0 && page != nullptr; --level) {
    page = glance(static_cast<const Node&>(*page).links[leaf >> (8 * level) & 0xff]);
  }
  return page;
}

void Maps::fetch(std::span<const DataRecord> writes) {
  if (writes.size() < writes_min) return;
  std::array<const Page*, writes_at_once> pages;
  while (!writes.empty()) {
    const auto some = writes.first(std::min(writes.size(), writes_at_once));
    writes = writes.subspan(some.size());
    const Root* head = nullptr;
    for (size_t i = 0; i < some.size(); ++i) {
      if (head == nullptr || head->id != some[i].head) head = find(some[i].head);
      pages[i] = head != nullptr ? glance(*head, some[i].first_block / leaf_blocks) : nullptr;
      ask_for(pages[i]);
    }
    for (size_t i = 0; i < some.size(); ++i) {
      if (pages[i] == nullptr || pages[i]->kind != PageKind::patch) continue;
      const Patch& patch = static_cast<const Patch&>(*pages[i]);
      ask_for(patch.data.names.data());
      ask_for(patch.data.crcs.data());
      pages[i] = patch.is_merged() ? nullptr : glance(patch.base);
      ask_for(pages[i]);
    }
    for (size_t i = 0; i < some.size(); ++i) {
      if (pages[i] == nullptr || pages[i]->kind != PageKind::leaf) continue;
      static_cast<const Leaf&>(*pages[i]).fetch(some[i].first_block % leaf_blocks);
    }
  }
}

}  // namespace brindle
