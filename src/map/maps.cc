#include "map/maps.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/planted.h"

namespace brindle {

namespace {

// A debt whose page cannot be read: so often, with rests of 10, 40, 160 and 640 ms, before no seal waits for it any more.
constexpr u32 tries_max = 5;
constexpr u64 first_rest_ns = 10 * millisecond_ns;

}  // namespace

Maps::Maps(Pool& pool, u64 cache_bytes)
    : pool_(pool), cache_(pool, cache_bytes, [this](Page& page) { on_loaded(page); }) {}

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

Page* Maps::need(Link& link, Missing& missing) {
  if (Page* page = link.held()) return page;
  if (Page* page = cache_.find(link.ref())) return page;
  missing = link.ref();
  return nullptr;
}

Task<Status> Maps::load(PageRef page) {
  auto loaded = co_await cache_.load(page);
  if (!loaded) co_return loaded.error();
  co_return Status{};
}

void Maps::add_dirty(Page& page) {
  dirty_.emplace_back(&page);
  dirty_bytes_ += page.bytes();
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
    Link link;
    missing = find_link(root, -1, leaf, link);
    if (missing) return missing;
    const std::span<BlockAt> to = at.subspan(done, count);
    done += count;
    if (!link) {
      std::fill(to.begin(), to.end(), BlockAt{});
      continue;
    }
    Page* page = need(link, missing);
    if (page == nullptr) return missing;
    for (u32 i = 0; i < count; ++i) {
      missing = entry_of(*page, first + i, to[i]);
      if (missing) return missing;
    }
  }
  return missing;
}

Missing Maps::entry_of(Page& page, u32 entry, BlockAt& out) {
  Missing missing;
  Page* at = &page;
  while (at->kind == PageKind::patch) {
    Patch& patch = as_patch(*at);
    if (patch.data.covers(entry)) {
      const u32 rank = patch.data.rank(entry);
      out = {patch.data.names[rank], patch.data.crcs[rank]};
      return missing;
    }
    if (!patch.base) {
      out = {};
      return missing;
    }
    at = need(patch.base, missing);
    if (at == nullptr) return missing;
  }
  const Leaf& leaf = as_leaf(*at);
  out = {leaf.name(entry), leaf.crc(entry)};
  return missing;
}

Missing Maps::find_link(const Root& root, int level, u64 leaf, Link& out) {
  Missing missing;
  out = Link();
  if (leaf >= root.leaves() || level >= root.height) return missing;
  out = root.map;
  for (int at = root.height - 1; at > level && out; --at) {
    Page* const page = need(out, missing);
    if (page == nullptr) return missing;
    out = as_node(*page).links[leaf >> (8 * at) & 0xff];
  }
  return missing;
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

// --- checkpoints ----------------------------------------------------------------------------------------------------

Task<void> Maps::settle_debts() {
  while (!pending_.empty()) {
    const u64 now = pool_.runtime().now_ns();
    std::vector<PageRef> pages;
    u64 next_ns = ~u64{0};
    for (const auto& [name, pending] : pending_) {
      if (planted(Plant::debt_kept) && pending.blind.empty()) continue;
      if (pending.due_ns > now && !hurry_) {
        next_ns = std::min(next_ns, pending.due_ns);
        continue;
      }
      pages.push_back(pending.page);
      if (pages.size() == 64) break;
    }
    if (pages.empty()) {
      if (next_ns == ~u64{0}) break;
      co_await pool_.runtime().sleep(next_ns - now);
      continue;
    }
    Gate gate(pool_.runtime());
    for (const PageRef& page : pages) gate.spawn(settle_one(page));
    co_await gate.close();
  }
}

Task<void> Maps::settle_one(PageRef page) {
  const Status status = co_await load(page);
  const auto at = pending_.find(page.name.raw);
  if (at == pending_.end()) co_return;
  if (status) {
    // It may have come in before the debt was made known, and not through a load just now.
    if (Page* resident_page = cache_.find(page)) on_loaded(*resident_page);
    co_return;
  }
  const bool may_pass = status.code() != Code::corrupt && !planted(Plant::debt_dropped);
  Pending& pending = at->second;
  if (may_pass && ++pending.tries < tries_max) {
    pending.due_ns = pool_.runtime().now_ns() + (first_rest_ns << (2 * (pending.tries - 1)));
    co_return;
  }
  Pending given_up = std::move(pending);
  pending_.erase(at);
  give_up(std::move(given_up), may_pass);
}

/// The page cannot be read now; with damage, never. Patches over it stand alone, and keep it: what they do not cover is read
/// from it when it can be.
void Maps::give_up(Pending pending, bool may_pass) {
  for (const Over& over : pending.blind) as_patch(*over.patch).abandon_base();
  if (!pending.blind.empty()) pending.let_go = false;
  // Patches that wanted to become leaves stay patches.
  const bool wanted_only = pending.blind.empty() && pending.debts.empty() && !pending.let_go;
  pending.blind.clear();
  pending.wide.clear();
  if (wanted_only) return;
  const u64 name = pending.page.name.raw;
  if (may_pass) {
    stalled_debts_.emplace(name, std::move(pending));
    dirty_debts_.insert(name);
    return;
  }
  // What it named can never be told, so it stays allocated.
  lost_blocks_ += pending.debts.size();
  if (pending.let_go) pool_.space().free_page(pending.page);
}

Task<void> Maps::retry_stalled(bool to_the_end) {
  std::vector<PageRef> pages;
  for (const auto& [name, pending] : stalled_debts_) pages.push_back(pending.page);
  for (const PageRef& page : pages) {
    const Status status = co_await load(page);
    const auto at = stalled_debts_.find(page.name.raw);
    if (at == stalled_debts_.end()) continue;
    if (status) {
      if (Page* resident_page = cache_.find(page)) on_loaded(*resident_page);
    } else if (status.code() == Code::corrupt) {
      Pending damaged = std::move(at->second);
      stalled_debts_.erase(at);
      dirty_debts_.insert(page.name.raw);
      give_up(std::move(damaged), false);
    } else if (!to_the_end) {
      break;
    }
  }
  for (const RootId id : std::exchange(stalled_roots_, {})) work_.push_back(id);
}

/// Debts of a page, or what waits for it otherwise.
Maps::Pending& Maps::pending_of(const PageRef& page) {
  const auto stalled = stalled_debts_.find(page.name.raw);
  if (stalled != stalled_debts_.end()) dirty_debts_.insert(page.name.raw);
  Pending& pending = stalled != stalled_debts_.end() ? stalled->second : pending_[page.name.raw];
  pending.page = page;
  return pending;
}

/// Nobody holds the page any more. With debts it has to be read once more first.
void Maps::free_page(const PageRef& page) {
  for (auto* debts : {&pending_, &stalled_debts_}) {
    const auto at = debts->find(page.name.raw);
    if (at == debts->end()) continue;
    at->second.let_go = true;
    if (debts == &stalled_debts_) dirty_debts_.insert(page.name.raw);
    return;
  }
  pool_.space().free_page(page);
}

void Maps::seal(u64 number) {
  CHECK((pending_.empty() || planted(Plant::debt_kept)) && sealed_.empty());
  sealed_number_ = number;
  for (PagePtr& page : dirty_) {
    if (page->state != PageState::dirty) continue;
    page->state = PageState::sealed;
    if (planted(Plant::birth_at_seal)) page->birth = number;
    sealed_bytes_ += page->bytes();
    sealed_.push_back(std::move(page));
  }
  dirty_.clear();
  dirty_bytes_ = 0;
  for (u64 key : dirty_roots_) {
    SealedBucket bucket{key, {}, {}};
    Writer to;
    for (u64 id = key * roots_a_bucket; id < (key + 1) * roots_a_bucket; ++id) {
      const Root* root = find(id);
      if (root == nullptr) continue;
      size_t map_at = 0;
      encode_root(to,
                  {.id = id,
                   .kind = root->kind,
                   .parent = root->parent != nullptr ? root->parent->id : 0,
                   .entry = root->entry,
                   .number = root->number,
                   .position = root->position,
                   .size = root->size,
                   .height = root->height,
                   .cursor = root->cursor,
                   .map = {}},
                  &map_at);
      bucket.maps.emplace_back(map_at, root->map);
    }
    bucket.bytes = to.take();
    sealed_roots_.push_back(std::move(bucket));
  }
  dirty_roots_.clear();
  for (u64 key : dirty_gone_) {
    Writer to;
    if (const Root* root = find(key >> gone_root_shift)) {
      const u64 group = key & ((u64{1} << gone_root_shift) - 1);
      for (u64 leaf = group * gone_leaves_a_bucket; leaf < (group + 1) * gone_leaves_a_bucket; ++leaf) {
        if (const auto at = root->gone.find(leaf); at != root->gone.end()) {
          encode_gone(to, {leaf, at->second.all, at->second.blocks});
        }
      }
    }
    sealed_others_.push_back({TableId::gone, key, to.take()});
  }
  dirty_gone_.clear();
  for (u64 name : dirty_debts_) {
    Writer to;
    const auto at = stalled_debts_.find(name);
    const bool owed = at != stalled_debts_.end() && !planted(Plant::debts_unsaved);
    if (owed) encode_debts(to, {at->second.page, at->second.let_go, at->second.debts});
    sealed_others_.push_back({TableId::debts, name, to.take()});
  }
  dirty_debts_.clear();
}

Task<Status> Maps::write_pages(PageSink& to) {
  const auto rank = [](const PagePtr& page) {
    if (page->kind == PageKind::leaf) return 0;
    return page->kind == PageKind::patch ? 1 : 2 + as_node(*page).level;
  };
  std::stable_sort(sealed_.begin(), sealed_.end(),
                   [&](const PagePtr& a, const PagePtr& b) { return rank(a) < rank(b); });
  u64 count = 0;
  for (PagePtr& page : sealed_) {
    if (auto status = co_await to.reserve(); !status) co_return status;
    while (!placed_.empty() && to.written(placed_.front()->place)) placed_.pop_front();
    const std::vector<std::byte> bytes = encode_page(*page);
    page->place = to.place(page->kind, page->birth, bytes);
    page->state = PageState::clean;
    sealed_bytes_ -= page->bytes();
    if (page->let_go && !planted(Plant::sealed_page_leak)) pool_.space().free_page(page->place);
    if (page->kind == PageKind::leaf) as_leaf(*page).fold();
    placed_.push_back(page);
    cache_.add(std::move(page));
    if (++count % 32 == 0) co_await pool_.runtime().yield();  // requests go first
  }
  sealed_.clear();
  if (auto status = co_await to.flush(); !status) co_return status;
  placed_.clear();
  co_return Status{};
}

std::vector<Bucket> Maps::sealed_buckets() {
  std::vector<Bucket> buckets = std::exchange(sealed_others_, {});
  for (SealedBucket& sealed : std::exchange(sealed_roots_, {})) {
    for (const auto& [at, map] : sealed.maps) {
      Writer ref;
      encode_page_ref(ref, map.ref());
      std::copy(ref.bytes().begin(), ref.bytes().end(), sealed.bytes.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (planted(Plant::cursor_outside)) {
      Reader from(sealed.bytes);
      Writer now;
      while (from.left() > 0) {
        RootRecord record = decode_root(from);
        if (const Root* root = find(record.id)) record.cursor = root->cursor;
        encode_root(now, record);
      }
      sealed.bytes = now.take();
    }
    buckets.push_back({TableId::roots, sealed.key, std::move(sealed.bytes)});
    for (u64 id = sealed.key * roots_a_bucket; id < (sealed.key + 1) * roots_a_bucket; ++id) {
      if (Root* root = find(id)) root->map.held();  // names it by reference from now on, so that it can be evicted
    }
  }
  return buckets;
}

Status Maps::load_roots(Bytes bytes) {
  Reader from(bytes);
  while (from.left() > 0) {
    const RootRecord record = decode_root(from);
    if (!from.ok() || record.height == 0 || record.height > 5 || find(record.id) != nullptr) {
      return Error{Code::corrupt, "the table of roots makes no sense"};
    }
    auto root = std::make_unique<Root>();
    root->id = record.id;
    root->kind = record.kind;
    root->entry = record.entry;
    root->number = record.number;
    root->position = record.position;
    root->size = record.size;
    root->height = record.height;
    root->cursor = record.cursor;
    if (record.map) root->map = Link(record.map);
    if (record.parent != 0) parents_to_tie_[record.id] = record.parent;
    roots_[record.id] = std::move(root);
  }
  return {};
}

Status Maps::load_gone(u64 key, Bytes bytes) {
  Reader from(bytes);
  std::vector<GoneRecord>& records = gone_to_tie_[key >> gone_root_shift];
  while (from.left() > 0) {
    records.push_back(decode_gone(from));
    if (!from.ok()) return Error{Code::corrupt, "the table of branch points makes no sense"};
  }
  return {};
}

/// Of what the device did not read before the last end. It is tried again as what has just stalled is.
Status Maps::load_debts(u64 key, Bytes bytes) {
  Reader from(bytes);
  DebtRecord owed = decode_debts(from);
  if (!from.done() || owed.page.name.raw != key) return Error{Code::corrupt, "the table of debts makes no sense"};
  Pending& pending = stalled_debts_[key];
  pending.page = owed.page;
  pending.let_go = owed.let_go;
  pending.debts = std::move(owed.debts);
  return {};
}

Status Maps::loaded() {
  for (const auto& [id, parent_id] : std::exchange(parents_to_tie_, {})) {
    Root* const parent = find(parent_id);
    if (parent == nullptr) return Error{Code::corrupt, fmt::format("root {} hangs from root {}, which is none", id, parent_id)};
    add_child(*parent, *find(id));
  }
  for (const auto& [id, records] : std::exchange(gone_to_tie_, {})) {
    Root* const root = find(id);
    if (root == nullptr) return Error{Code::corrupt, "a branch point is missing"};
    for (const GoneRecord& record : records) root->gone[record.leaf] = {record.all, record.blocks};
  }
  for (const auto& [id, root] : roots_) {
    // How far a rescan came is not written down: all is looked at again, and what is the same as a child's is skipped.
    if (root->kind == RootKind::branch) mark_rescan(*root, 0, root->leaves());
    if (root->kind == RootKind::dying) enqueue(*root);
  }
  return {};
}

}  // namespace brindle
