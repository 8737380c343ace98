#include "check/map_walk.h"

#include <algorithm>

#include <fmt/format.h>

namespace brindle {

namespace {

constexpr size_t bases_max = 8;  // of a patch: one, and more only over pages that were once unreadable

}  // namespace

MapWalk::MapWalk(Runtime& runtime, DiskReader& disk, SegmentMap& segments, Findings& findings, const Family& family,
                 Limits limits, bool read_data)
    : runtime_(runtime),
      disk_(disk),
      segments_(segments),
      findings_(findings),
      family_(family),
      limits_(limits),
      read_data_(read_data),
      pages_(disk, segments) {}

Task<void> MapWalk::run() {
  co_await walk_all();
  co_await read_data();
}

Task<void> MapWalk::mark() {
  marking_ = true;
  segments_.forget_reached();
  co_await walk_all();
}

Task<void> MapWalk::walk_all() {
  u64 done = 0;
  for (const CheckedRoot* root : family_.in_order()) {
    if (disk_.stopped()) co_return;
    const int level = root->record.height - 1;
    Sides above = ancestors(*root);
    // A map that is the parent's as a whole, as that of a fresh clone, is met in no step at all.
    const PageRef map = root->record.map;
    const bool same = above.size() == 1 && above[0].link == map && above[0].level == level && root->record.cursor == 0 &&
                      above[0].root->record.cursor == 0 && root->gone.empty() && above[0].root->gone.empty();
    if (map && !same) {
      const bool damaged = co_await walk(*root, map, level, 0, std::move(above));
      static_cast<void>(damaged);  // only the marks that it left count
    }
    if (++done % 256 == 0) co_await runtime_.yield();
  }
}

/// The roots that are the parent at some leaf: the next one up, and those above it where it is gone already.
MapWalk::Sides MapWalk::ancestors(const CheckedRoot& root) const {
  Sides sides;
  const int top = root.record.height - 1;
  u64 lowest = ~u64{0};
  for (const CheckedRoot* at = root.parent; at != nullptr && lowest > 0; at = at->parent) {
    if (at->record.cursor >= lowest) continue;
    lowest = at->record.cursor;
    // A tree that is lower stands below the first slot of a higher one. (A higher parent is an error, reported already.)
    const int level = at->record.height - 1;
    sides.push_back({at, at->record.map, level, level > top});
  }
  return sides;
}

const MapWalk::Side* MapWalk::effective(const Sides& sides, u64 leaf) {
  for (const Side& side : sides) {
    if (side.root->record.cursor <= leaf) return &side;
  }
  return nullptr;
}

/// Walks a place at which the root does not simply have what its parent has. Returns whether anything there is bad.
Task<bool> MapWalk::walk(const CheckedRoot& root, PageRef link, int level, u64 first, Sides above) {
  const u64 end = first + span_of(level);
  if (!link || end <= root.record.cursor || disk_.stopped()) co_return false;
  const Side* const found = effective(above, end - 1);
  const Side parent = found != nullptr ? *found : Side{};
  if (level < 0) co_return co_await walk_leaf(root, link, first, parent);

  const bool shared = parent.root != nullptr && parent.level == level && parent.link == link;
  if (!shared && !begin_page(root, parent, link, parent.unknown)) co_return is_damaged(link);
  const CheckedPagePtr page = co_await page_of(link);
  if (page == nullptr) co_return true;
  if (!std::holds_alternative<NodeData>(*page)) {
    bad_page(link, "map", "a page of a map is not of the kind that belongs there", true);
    co_return true;
  }
  std::vector<CheckedPagePtr> theirs(above.size());
  for (size_t i = 0; i < above.size(); ++i) {
    Side& side = above[i];
    if (side.level != level || !side.link || side.unknown) continue;
    if (side.link == link) {
      theirs[i] = page;
    } else {
      theirs[i] = co_await page_of(side.link);
    }
    if (theirs[i] == nullptr || !std::holds_alternative<NodeData>(*theirs[i])) side.unknown = true;
  }

  bool damaged = bad_pages_.contains(link.name.raw);
  const u64 step = span_of(level - 1);
  const NodeData& node = std::get<NodeData>(*page);
  for (u64 slot = 0; slot < node_links; ++slot) {
    const PageRef child = node[slot];
    const u64 child_first = first + slot * step;
    const u64 child_end = child_first + step;
    if (!child || child_end <= root.record.cursor) continue;
    Sides below;
    bool quiet = root.record.cursor <= child_first && !root.let_go_within(child_first, child_end);
    for (size_t i = 0; i < above.size(); ++i) {
      const Side& side = above[i];
      if (side.root->record.cursor >= child_end) continue;
      Side one{side.root, {}, level - 1, side.unknown};
      if (side.level == level) {
        if (!side.unknown && theirs[i] != nullptr) one.link = std::get<NodeData>(*theirs[i])[slot];
      } else if (slot == 0) {
        one = side;
      }
      below.push_back(one);
      if (side.root->record.cursor <= child_first) break;
      quiet = false;  // the parent changes within
    }
    const bool same = quiet && below.size() == 1 && !below[0].unknown && below[0].level == level - 1 &&
                      below[0].link == child && !below[0].root->let_go_within(child_first, child_end);
    if (same) {
      damaged = damaged || is_damaged(child);
      continue;
    }
    const bool bad = co_await walk(root, child, level - 1, child_first, std::move(below));
    damaged = damaged || bad;
  }
  if (damaged && marking_) damaged_below_.insert(link.name.raw);
  co_return damaged;
}

/// A leaf or patch, and the blocks that it names.
Task<bool> MapWalk::walk_leaf(const CheckedRoot& root, PageRef link, u64 leaf, Side parent) {
  const auto gone_at = root.gone.find(leaf);
  const GoneRecord* const gone = gone_at != root.gone.end() ? &gone_at->second : nullptr;
  if (gone != nullptr && gone->all) co_return false;
  const Chain mine = co_await chain_of(link);
  const GoneRecord* their_gone = nullptr;
  Chain theirs;
  if (parent.root != nullptr) {
    const auto at = parent.root->gone.find(leaf);
    if (at != parent.root->gone.end()) their_gone = &at->second;
    const bool holds = parent.level == -1 && parent.link && !parent.unknown && (their_gone == nullptr || !their_gone->all);
    if (holds) theirs = co_await chain_of(parent.link);
  }
  if (disk_.stopped()) co_return false;

  bool damaged = mine.broken;
  const bool pages_uncertain = parent.unknown || theirs.broken;
  for (const PageRef& ref : mine.refs) {
    damaged = damaged || bad_pages_.contains(ref.name.raw);
    if (std::find(theirs.refs.begin(), theirs.refs.end(), ref) != theirs.refs.end()) continue;
    const bool begun = begin_page(root, parent, ref, pages_uncertain);
    if (begun) continue;
    // Its blocks begin where the page itself began.
    if (ref == link) co_return is_damaged(link);
  }
  const Entries entries = entries_of(mine);
  const Entries others = entries_of(theirs);
  const u64 blocks = root.record.size / block_size;
  for (u32 entry = 0; entry < leaf_blocks; ++entry) {
    const SlotName name = entries.names[entry];
    if (!name || (gone != nullptr && (gone->blocks[entry / 64] >> (entry % 64) & 1) != 0)) continue;
    const bool kept = their_gone == nullptr || (their_gone->blocks[entry / 64] >> (entry % 64) & 1) == 0;
    if (others.names[entry] != name || !kept) {
      const bool uncertain = parent.unknown || (theirs.broken && !others.known[entry]);
      begin_block(root, parent, name, entries.crcs[entry], uncertain);
    }
    if (!marking_ && leaf * leaf_blocks + entry >= blocks) {
      bad_block(name, "map", "a block beyond the end of its volume");
    }
    if (!marking_ && others.names[entry] == name && others.crcs[entry] != entries.crcs[entry]) {
      bad_block(name, "map", "two pages give one block two checksums");
    }
    damaged = damaged || bad_blocks_.contains(name.raw);
  }
  if (damaged && marking_) damaged_below_.insert(link.name.raw);
  if (to_read_.size() >= 2048) co_await read_data();
  co_return damaged;
}

// --- where something begins -----------------------------------------------------------------------------------------

std::string_view MapWalk::birth_fault(const CheckedRoot& root, const Side& parent, bool too_young,
                                      bool older_than_parent) const {
  if (root.frozen() && too_young) return "younger than the root that holds it";
  if (parent.root != nullptr && older_than_parent) return "as old as its parent, which does not hold it";
  return {};
}

/// What a branch point does not hold any more stands in a table, which may be damaged: then what it names may be dead, and written over.
bool MapWalk::may_have_let_go(const CheckedRoot& root) const {
  return !limits_.all_known && root.record.kind == RootKind::branch;
}

/// The page is held by the root and not by its parent. False: it began somewhere else before.
bool MapWalk::begin_page(const CheckedRoot& root, const Side& parent, const PageRef& ref, bool uncertain) {
  uncertain = uncertain || !limits_.all_known;
  const auto at = segments_.locate(ref.name, SegmentKind::pages);
  if (!at) return true;  // loading it will say so
  bool fresh = true;
  bool live = true;
  for (u64 i = 0; i < ref.slots(); ++i) {
    const SlotName name = ref.name.plus(i);
    if (name.segment() != ref.name.segment()) break;
    live = segments_.is_live(name) && live;
    fresh = segments_.reach(name) && fresh;
  }
  if (marking_) return fresh;
  if (!live && may_have_let_go(root)) return fresh;
  if (fresh) ++counts_.pages;
  if (!live) {
    findings_.pool("space", *at, ref.slots() * page_slot_size,
                   fmt::format("segment {}: a page of a map that is not marked live", ref.name.segment()));
  }
  if (!fresh && !uncertain) {
    bad_page(ref, "map", "a page of a map is named from two places that cannot share it", false);
  }
  if (ref.birth == 0 || ref.birth >= limits_.number) {
    bad_page(ref, "map", "a page of a map is younger than the checkpoint", false);
  }
  const bool older_than_parent = !uncertain && parent.root != nullptr && ref.birth < parent.root->record.number;
  const auto fault = birth_fault(root, parent, ref.birth >= root.record.number, older_than_parent);
  if (!fault.empty()) bad_page(ref, "map", fmt::format("a page of a map is {}", fault), false);
  return fresh;
}

bool MapWalk::begin_block(const CheckedRoot& root, const Side& parent, SlotName name, u32 crc, bool uncertain) {
  uncertain = uncertain || !limits_.all_known;
  const auto at = segments_.locate(name, SegmentKind::data);
  if ((!at || !segments_.is_live(name)) && may_have_let_go(root)) return false;
  if (!at) {
    if (!marking_) bad_block(name, "map", "a block is in no segment");
    return true;
  }
  const bool fresh = segments_.reach(name);
  if (marking_) return fresh;
  if (fresh) ++counts_.blocks;
  if (!segments_.is_live(name)) {
    findings_.pool("space", *at, block_size, fmt::format("segment {}: a block that is not marked live", name.segment()));
  }
  if (!fresh && !uncertain) bad_block(name, "map", "a block is named from two places that cannot share it");
  if (name >= limits_.position) bad_block(name, "map", "a block is younger than the checkpoint");
  const bool older_than_parent = !uncertain && parent.root != nullptr && name < parent.root->record.position;
  const auto fault = birth_fault(root, parent, name >= root.record.position, older_than_parent);
  if (!fault.empty()) bad_block(name, "map", fmt::format("a block is {}", fault));
  if (fresh && read_data_) to_read_.push_back({*at, name, crc});
  return fresh;
}

void MapWalk::bad_page(const PageRef& ref, std::string_view kind, std::string note, bool unreadable) {
  const auto at = segments_.locate(ref.name, SegmentKind::pages);
  Bad& bad = bad_pages_.try_emplace(ref.name.raw, Bad{std::string(kind), std::move(note), at.value_or(0), ref.length}).first->second;
  bad.unreadable = bad.unreadable || unreadable;
  incomplete_ = incomplete_ || unreadable;
}

void MapWalk::bad_block(SlotName name, std::string_view kind, std::string note) {
  const auto at = segments_.locate(name, SegmentKind::data);
  bad_blocks_.try_emplace(name.raw, Bad{std::string(kind), std::move(note), at.value_or(0), block_size});
}

// --- pages ----------------------------------------------------------------------------------------------------------

/// The page, or nothing where it cannot be read.
Task<CheckedPagePtr> MapWalk::page_of(PageRef link) {
  const auto known = bad_pages_.find(link.name.raw);
  if (known != bad_pages_.end() && known->second.unreadable) co_return nullptr;
  auto page = co_await pages_.load(link);
  if (page) co_return *page;
  if (page.code() != Code::cancelled) {
    bad_page(link, page.code() == Code::io ? "io" : "map", page.error().message, true);
  }
  co_return nullptr;
}

/// A leaf or patch with what lies below it.
Task<MapWalk::Chain> MapWalk::chain_of(PageRef link) {
  Chain chain;
  while (link) {
    chain.refs.push_back(link);
    CheckedPagePtr page = co_await page_of(link);
    const bool known = page != nullptr && !std::holds_alternative<NodeData>(*page);
    if (page != nullptr && (!known || chain.refs.size() > bases_max)) {
      bad_page(link, "map", "a page of a map is not of the kind that belongs there", true);
      page = nullptr;
    }
    if (page == nullptr) {
      chain.broken = true;
      break;
    }
    const PatchData* const patch = std::get_if<PatchData>(page.get());
    link = patch != nullptr ? patch->base : PageRef{};
    chain.pages.push_back(std::move(page));
  }
  co_return chain;
}

MapWalk::Entries MapWalk::entries_of(const Chain& chain) {
  Entries entries;
  for (const CheckedPagePtr& page : chain.pages) {
    const PatchData* const patch = std::get_if<PatchData>(page.get());
    const LeafData* const leaf = std::get_if<LeafData>(page.get());
    for (u32 entry = 0, rank = 0; entry < leaf_blocks; ++entry) {
      if (patch != nullptr && !patch->covers(entry)) continue;
      if (!entries.known[entry]) {
        entries.names[entry] = patch != nullptr ? patch->names[rank] : leaf->names[entry];
        entries.crcs[entry] = patch != nullptr ? patch->crcs[rank] : leaf->crcs[entry];
        entries.known[entry] = true;
      }
      ++rank;
    }
  }
  return entries;
}

}  // namespace brindle
