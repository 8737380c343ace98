// seal.cc: the maps as a checkpoint has them: sealed at one batch number, written while later batches change them, and read back.
#include <algorithm>

#include <fmt/format.h>

#include "base/planted.h"
#include "map/maps.h"

namespace brindle {

namespace {
constexpr u64 pages_a_turn = 16;  // a node takes ten microseconds
}

void Maps::seal(u64 number) {
  CHECK((pending_.empty() || planted(Plant::debt_kept)) && sealed_bytes_ == 0);
  sealed_number_ = number;
  // All requests wait meanwhile, and under snapshots there may be tens of thousands: none is looked at here.
  sealed_ = std::exchange(dirty_, {});
  sealed_bytes_ = std::exchange(dirty_bytes_, 0);
  for (const auto& pages : sealed_) {
    if (!planted(Plant::birth_at_seal)) break;
    for (const PagePtr& page : pages) page->birth = number;
  }
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
  u64 count = 0;
  for (std::vector<PagePtr>& pages : sealed_) {
    for (PagePtr& page : pages) {
      if (++count % pages_a_turn == 0) {
        pool_.checkpoint_came_further();
        co_await pool_.runtime().yield();  // requests go first
      }
      if (auto status = co_await to.reserve(); !status) co_return status;
      while (!placed_.empty() && to.written(placed_.front()->place)) placed_.pop_front();
      const std::vector<std::byte> bytes = encode_page(*page);
      page->place = to.place(page->kind, page->birth, bytes);
      page->state = PageState::clean;
      sealed_bytes_ -= page->bytes();
      if (page->let_go && !planted(Plant::sealed_page_leak)) pool_.space().free_page(page->place);
      if (page->kind == PageKind::leaf) as_leaf(*page).pack();
      placed_.push_back(page);
      cache_.add(std::move(page));
    }
    pages = std::vector<PagePtr>();
  }
  CHECK(sealed_bytes_ == 0);
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
    if (!from.ok() || record.height == 0 || record.height > map_height_max || find(record.id) != nullptr) {
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
