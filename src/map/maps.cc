#include "map/maps.h"

#include <algorithm>

#include "base/planted.h"

namespace brindle {

Maps::Maps(Pool& pool, u64 cache_bytes, u32 reads_before_merge)
    : pool_(pool),
      cache_(pool, cache_bytes, [this](Page& page) { on_loaded(page); }),
      reads_before_merge_(reads_before_merge),
      settle_(pool.runtime()) {}

Maps::~Maps() = default;

// --- roots ----------------------------------------------------------------------------------------------------------

Root* Maps::find(RootId id) {
  const auto at = roots_.find(id);
  return at == roots_.end() ? nullptr : at->second.get();
}

Root& Maps::create(RootId id, u64 number, SlotName position, u64 size, EntryId entry) {
  auto root = std::make_unique<Root>();
  root->id = id;
  root->entry = entry;
  root->number = number;
  root->position = position;
  root->size = size;
  root->height = height_for(size);
  dirty(*root);
  return *(roots_[id] = std::move(root));
}

/// `by` takes the root's place in the tree; the root is left outside.
void Maps::replace(Root& root, Root& by) {
  Root* const parent = root.parent;
  remove_child(root);
  if (parent != nullptr) add_child(*parent, by);
}

Root& Maps::snapshot(RootId id, u64 number, SlotName position, Root& head, EntryId entry) {
  CHECK(head.kind == RootKind::head);
  Root& snap = create(id, number, position, head.size, entry);
  snap.kind = RootKind::snapshot;
  snap.height = head.height;
  snap.map = head.map;
  replace(head, snap);
  add_child(snap, head);
  if (!planted(Plant::no_freeze)) head.number = number;
  head.position = position;
  dirty(head);
  return snap;
}

Root& Maps::snapshot_hidden(RootId id, u64 number, SlotName position, Root& head) {
  Root& snap = snapshot(id, number, position, head, 0);
  snap.kind = RootKind::branch;
  mark_rescan(snap, 0, snap.leaves());
  return snap;
}

Root& Maps::clone(RootId id, u64 number, SlotName position, Root& source, EntryId entry) {
  CHECK(source.kind != RootKind::head && source.kind != RootKind::dying);
  Root& head = create(id, number, position, source.size, entry);
  head.height = source.height;
  head.map = source.map;
  if (planted(Plant::clone_in_place)) head.number = 0;
  add_child(source, head);
  return head;
}

void Maps::remove(Root& root) {
  CHECK(!root.hidden());
  root.entry = 0;
  root.kind = root.children < (planted(Plant::collapse_two) ? 3 : 2) ? RootKind::dying : RootKind::branch;
  dirty(root);
  if (root.kind == RootKind::branch) {
    mark_rescan(root, 0, root.leaves());
  } else {
    enqueue(root);
  }
}

Root& Maps::roll_back(RootId saved, u64 number, SlotName position, Root& head, Root& snap, EntryId saved_entry) {
  Root& old = snapshot(saved, number, position, head, saved_entry);
  remove_child(head);
  add_child(snap, head);
  head.map = snap.map;
  head.height = snap.height;
  if (!planted(Plant::rollback_size)) head.size = snap.size;
  if (saved_entry == 0 || planted(Plant::rollback_unsaved)) {
    if (planted(Plant::rollback_free)) {
      remove_child(old);
      add_child(snap, old);
    }
    old.kind = RootKind::dying;
    enqueue(old);
  }
  return old;
}

void Maps::enqueue(Root& root) {
  if (root.queued) return;
  root.queued = true;
  work_.push_back(root.id);
}

// --- pages ----------------------------------------------------------------------------------------------------------

Page* Maps::need(const Link& link, Missing& missing) {
  if (Page* page = const_cast<Link&>(link).held()) return page;
  if (Page* page = cache_.find(link.ref())) return page;
  missing = link.ref();
  return nullptr;
}

Task<Status> Maps::load(PageRef page) {
  auto loaded = co_await cache_.load(page);
  if (!loaded) co_return loaded.error();
  co_return Status{};
}

Task<Status> Maps::load(PageRef page, std::vector<PagePtr>& held) {
  auto loaded = co_await cache_.load(page);
  if (!loaded) co_return loaded.error();
  held.push_back(std::move(*loaded));
  co_return Status{};
}

size_t Maps::rank_of(const Page& page) {
  if (page.kind == PageKind::leaf) return 0;
  return page.kind == PageKind::patch ? 1 : 2 + size_t{static_cast<const Node&>(page).level};
}

void Maps::add_dirty(Page& page) {
  std::vector<PagePtr>& pages = dirty_[rank_of(page)];
  page.list_place = static_cast<u32>(pages.size());
  pages.emplace_back(&page);
  dirty_bytes_ += page.bytes();
}

/// Nobody holds the page any more: no checkpoint writes it, and its memory goes with the last link.
void Maps::drop(Page& page) {
  page.state = PageState::dropped;
  dirty_bytes_ -= page.bytes();
  std::vector<PagePtr>& pages = dirty_[rank_of(page)];
  if (page.list_place >= pages.size() || pages[page.list_place].get() != &page) return;  // planted: it was sealed
  std::swap(pages[page.list_place], pages.back());
  pages[page.list_place]->list_place = page.list_place;
  pages.pop_back();
}

void Maps::grew(Page& page, u64 before) {
  const u64 now = page.bytes();
  if (page.state == PageState::dirty) dirty_bytes_ += now - before;
}

Missing Maps::lookup(const Root& root, u64 first_block, std::span<BlockAt> at) {
  Missing missing;
  for (u64 done = 0; done < at.size();) {
    const u64 block = first_block + done;
    const u64 leaf = block / leaf_blocks;
    const u32 first = static_cast<u32>(block % leaf_blocks);
    const u32 count = static_cast<u32>(std::min<u64>(leaf_blocks - first, at.size() - done));
    const Link* const link = find_link(root, -1, leaf, missing);
    if (missing) return missing;
    const std::span<BlockAt> to = at.subspan(done, count);
    done += count;
    if (link == nullptr) {
      std::fill(to.begin(), to.end(), BlockAt{});
      continue;
    }
    Page* page = need(*link, missing);
    if (page == nullptr) return missing;
    Page* from = nullptr;
    for (u32 i = 0; i < count; ++i) {
      missing = entry_of(*page, first + i, to[i], from);
      if (missing) return missing;
    }
    if (from != nullptr && from->kind == PageKind::leaf) count_read(*page, as_leaf(*from));
  }
  return missing;
}

Missing Maps::page_with(Page& page, u32 entry, Page*& out) {
  Missing missing;
  out = &page;
  while (out->kind == PageKind::patch && !as_patch(*out).says(entry)) {
    Link& base = as_patch(*out).base;
    out = base ? need(base, missing) : nullptr;
    if (out == nullptr) break;
  }
  return missing;
}

/// The head of a volume that has snapshots is read through patches: two pages where one would do, in memory and for each look. But a leaf
/// that several read stays one; and folded it is smaller than what would come of it. `page` has the leaf, or is the leaf.
void Maps::count_read(Page& page, Leaf& leaf) {
  u32 reader = 0;
  if (&page != &leaf) {
    const bool over = page.state == PageState::clean && as_patch(page).base.ref().name == leaf.place.name;
    if (!over) return;  // or over another patch, where that one could not be read once
    const u64 name = page.place.name.raw;
    reader = static_cast<u32>(name ^ name >> 32) | 1;
  }
  if (std::exchange(leaf.reader, reader) != reader) leaf.reads = 0;
  if (reader == 0 || ++leaf.reads < reads_before_merge_ || leaf.is_folded() || leaf.references > 1) return;
  cache_.merge(as_patch(page), leaf);
}

Missing Maps::entry_of(Page& page, u32 entry, BlockAt& out, Page*& from) {
  const Missing missing = page_with(page, entry, from);
  if (from == nullptr) {
    out = {};
  } else if (from->kind == PageKind::patch) {
    out = as_patch(*from).at(entry);
  } else {
    out = as_leaf(*from).at(entry);
  }
  return missing;
}

const Link* Maps::find_link(const Root& root, int level, u64 leaf, Missing& missing) {
  if (leaf >= root.leaves() || level >= root.height) return nullptr;
  const Link* link = &root.map;
  for (int at = root.height - 1; at > level && *link; --at) {
    Page* const page = need(*link, missing);
    if (page == nullptr) return nullptr;
    link = &as_node(*page).links[leaf >> (8 * at) & 0xff];
  }
  return *link ? link : nullptr;
}

Missing Maps::next_leaf(const Root& root, u64 leaf, u64& out) {
  Missing missing;
  out = root.leaves();
  while (leaf < root.leaves()) {
    Link link = root.map;
    int level = root.height;  // the link covers 256^level leaves
    while (link && level > 0) {
      Page* const page = need(link, missing);
      if (page == nullptr) return missing;
      --level;
      link = as_node(*page).links[leaf >> (8 * level) & 0xff];
    }
    if (link) {
      out = leaf;
      break;
    }
    leaf = ((leaf >> (8 * level)) + 1) << (8 * level);
  }
  return missing;
}

}  // namespace brindle
