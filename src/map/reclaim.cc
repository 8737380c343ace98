// reclaim.cc: hidden roots on their way out: the walk of a dying root, and the rescan of a branch point.
//
// Holds:  1. A dying root visits its leaves upward. Behind its cursor it is gone from the tree, ahead of it still there.
//            It skips what is older than its parent (all of it is the parent's) and what its child holds just the same.
//         2. A branch point never skips by age. What it lets go it marks in `gone`; its page goes last, with the base.
//         3. A node is an object of the last leaf that it covers. A branch point's nodes go when it dies.
//         4. A step changes nothing when it misses a page. A visit done twice does no harm.
#include <algorithm>
#include <unordered_set>

#include "base/planted.h"
#include "map/maps.h"

namespace brindle {

namespace {

/// Of a root that has any to visit.
u64 next_leaf_of(const Root& root) { return root.kind == RootKind::dying ? root.cursor : root.rescan.begin()->first; }

}  // namespace

Task<bool> Maps::reclaim_step() {
  while (reclaiming()) {
    const RootId id = cuts_.empty() ? work_.front() : cuts_.back();
    Root* const root = find(id);
    const bool due = root != nullptr && (root->kind == RootKind::dying || !root->rescan.empty());
    if (!due) {
      if (root != nullptr) root->queued = false;
      if (cuts_.empty()) {
        work_.pop_front();
      } else {
        cuts_.pop_back();
      }
      step_pages_.clear();
      continue;
    }
    const u64 leaf = next_leaf_of(*root);
    wanted_.clear();
    const Missing missing = root->kind == RootKind::dying ? step_dying(*root) : step_branch(*root);
    if (missing) {
      auto page = co_await cache_.load(*missing);
      if (!page && page.code() == Code::corrupt) page = co_await cache_.load(*missing);  // what came over the wire wrong comes right the next time
      if (page) {
        step_pages_.push_back(std::move(*page));
        co_await load_wanted();
      } else {
        // A device that does not read may do so later; a damaged page says no more than it does now. (An earlier leaf that became due
        // meanwhile goes first.)
        if (page.code() != Code::corrupt) {
          std::erase(work_, id);
          std::erase(cuts_, id);
          stalled_roots_.push_back(id);
        } else if (next_leaf_of(*root) == leaf) {
          pass_over(*root, *missing);
        }
        step_pages_.clear();
      }
    } else {
      step_pages_.clear();
    }
    co_return true;
  }
  co_return false;
}

/// Those of the children too that the step would miss next. One that cannot be read is met again by itself.
Task<void> Maps::load_wanted() {
  const auto load_one = [](Maps& maps, PageRef page) -> Task<void> {
    static_cast<void>(co_await maps.load(page, maps.step_pages_));
  };
  Gate gate(pool_.runtime());
  for (const PageRef& page : wanted_) gate.spawn(load_one(*this, page));
  co_await gate.close();
}

/// Notes a page of a child that is missing. True: these are enough to be loaded at once.
bool Maps::want(const PageRef& page) {
  wanted_.push_back(page);
  return wanted_.size() >= wanted_max;
}

/// Where the leaves end that a page on the way to `leaf` covers, of this root or of a child. Of one that is no node, or is not found: only that leaf.
u64 Maps::end_below(Root& root, u64 leaf, const PageRef& page) {
  u64 end = leaf + 1;
  const auto covers = [&](const Root& holder) {
    for (int level = holder.height - 1; level >= 0; --level) {
      Missing missing;
      const Link* const link = find_link(holder, level, leaf, missing);
      if (link == nullptr) break;
      if (link->ref().name != page.name) continue;
      end = round_down(leaf, span_of(level)) + span_of(level);
      return true;
    }
    return false;
  };
  if (!covers(root)) any_child_at(root, leaf, covers);
  return std::min(end, root.leaves());
}

/// What the root alone holds below a damaged page, its own or a child's, cannot be told: it stays allocated, and the root goes on behind it.
void Maps::pass_over(Root& root, const PageRef& page) {
  const u64 leaf = next_leaf_of(root);
  const u64 end = end_below(root, leaf, page);
  if (passed_over_.insert(page.name.raw).second) lost_blocks_ += std::min((end - leaf) * leaf_blocks, root.size / block_size);
  if (root.kind == RootKind::branch) return rescanned(root, end);
  Root* const parent = parent_at(root, leaf);
  if (parent != nullptr && parent->kind == RootKind::branch) mark_rescan(*parent, leaf, end);
  root.cursor = end;
  dirty(root);
  if (root.cursor >= root.leaves()) leave(root);
}

/// Does a child hold this very page at the level, and with `whole` all that is below it too? Misses what it would have
/// to look at.
bool Maps::child_has(Root& root, int level, u64 leaf, const Link& link, bool whole, Missing& missing) {
  const u64 first = round_down(leaf, span_of(level));
  const auto has = [&](Root& child, Missing& absent) {
    if (whole && child.let_go_within(first, first + span_of(level)) && !planted(Plant::bitmap_ignored)) return false;
    const Link* const theirs = find_link(child, level, leaf, absent);
    return theirs != nullptr && *theirs == link;
  };
  if (root.holder != nullptr && leaf >= root.holder->cursor && has(*root.holder, missing)) return true;
  if (missing) return false;
  bool found = false;
  any_child_at(root, leaf, [&](Root& child) {
    Missing absent;
    found = has(child, absent);
    if (found && child.parent == &root) root.holder = &child;
    return found || (absent && want(*absent));
  });
  if (found) wanted_.clear();
  if (!wanted_.empty()) missing = wanted_.front();
  return found;
}

void Maps::mark_rescan(Root& branch, u64 first, u64 end) {
  end = std::min(end, branch.leaves());
  if (first >= end) return;
  auto at = branch.rescan.upper_bound(first);
  if (at != branch.rescan.begin() && std::prev(at)->second >= first) --at;
  while (at != branch.rescan.end() && at->first <= end) {
    first = std::min(first, at->first);
    end = std::max(end, at->second);
    at = branch.rescan.erase(at);
  }
  branch.rescan[first] = end;
  enqueue(branch);
}

// --- dying ----------------------------------------------------------------------------------------------------------

Missing Maps::step_dying(Root& root) {
  Missing missing;
  const u64 leaf = root.cursor;
  std::vector<Link> path;  // nodes from the top down that this root must let go when it has passed them
  Link link = root.map;
  u64 end = root.leaves();
  bool visited = false;
  for (int level = root.height - 1; leaf < root.leaves(); --level) {
    end = round_down(leaf, span_of(level)) + span_of(level);
    Root* const parent = parent_at(root, leaf);
    if (!link) break;
    if (parent != nullptr && older(link, *parent)) {
      // All below is the parent's, and this root no longer stands between a branch point and it.
      if (parent->kind == RootKind::branch && !planted(Plant::no_rescan_dying)) mark_rescan(*parent, leaf, end);
      break;
    }
    const bool shared = child_has(root, level, leaf, link, true, missing);
    if (missing) return missing;
    if (shared) break;
    if (level < 0) {
      visited = true;
      break;
    }
    Page* const page = need(link, missing);
    if (page == nullptr) return missing;
    path.push_back(link);
    Node& node = as_node(*page);
    u64 slot = leaf >> (8 * level) & 0xff;
    // Empty links right behind the cursor cost no step of their own.
    if (!node.links[slot]) {
      while (slot + 1 < node_links && !node.links[slot + 1]) ++slot;
      end = round_down(leaf, span_of(level)) + (slot + 1) * span_of(level - 1);
      break;
    }
    link = node.links[slot];
  }
  // The nodes that end here go too, before the cursor passes: this root still stands in the tree at their last leaf.
  std::vector<Link> released;
  for (size_t depth = path.size(); depth > 0; --depth) {
    const int at_level = root.height - static_cast<int>(depth);
    const u64 last = round_down(leaf, span_of(at_level)) + span_of(at_level) - 1;
    if (last + 1 != end) break;
    const Link& node = path[depth - 1];
    Root* const parent = parent_at(root, last);
    if (parent != nullptr && older(node, *parent)) continue;
    const bool shared = child_has(root, at_level, last, node, false, missing);
    if (missing) return missing;
    if (!shared) released.push_back(node);
  }
  // Up to here nothing has changed; a visit that misses a page changes nothing either.
  if (visited) missing = visit(root, leaf, link);
  if (missing) return missing;
  for (const Link& node : released) let_go(node, parent_at(root, end - 1), std::nullopt);
  root.cursor = end;
  if (!planted(Plant::cursor_forgotten)) dirty(root);
  if (root.cursor >= root.leaves()) leave(root);
  return missing;
}

/// Nothing holds by this root any more: its child, if any, takes its place.
void Maps::leave(Root& root) {
  Root* const parent = root.parent;
  remove_child(root);
  while (Root* child = root.first_child) {
    remove_child(*child);
    if (parent != nullptr) add_child(*parent, *child);
    dirty(*child);
  }
  for (const auto& [leaf, gone] : root.gone) {
    dirty_gone_.insert(root.id << gone_root_shift | leaf / gone_leaves_a_bucket);
  }
  dirty(root);
  roots_.erase(root.id);
  if (parent != nullptr && parent->kind == RootKind::branch && parent->children < 2) {
    parent->kind = RootKind::dying;
    parent->cursor = 0;
    parent->rescan.clear();
    dirty(*parent);
    enqueue(*parent);
  }
  pool_.touch();
}

// --- branch points --------------------------------------------------------------------------------------------------

Missing Maps::step_branch(Root& root) {
  Missing missing;
  const u64 leaf = root.rescan.begin()->first;
  Link link = root.map;
  u64 end = root.leaves();
  for (int level = root.height - 1;; --level) {
    end = round_down(leaf, span_of(level)) + span_of(level);
    if (!link) break;
    const bool shared = child_has(root, level, leaf, link, true, missing);
    if (missing) return missing;
    if (shared) break;
    if (level < 0) {
      missing = visit(root, leaf, link);
      if (missing) return missing;
      break;
    }
    Page* const page = need(link, missing);
    if (page == nullptr) return missing;
    link = as_node(*page).links[leaf >> (8 * level) & 0xff];
  }
  rescanned(root, end);
  return missing;
}

/// The branch point has been looked at from the first leaf that it had to on, up to `end`.
void Maps::rescanned(Root& root, u64 end) {
  const auto range = root.rescan.begin();
  const u64 range_end = range->second;
  root.rescan.erase(range);
  if (end < range_end) root.rescan[end] = range_end;
}

// --- one leaf -------------------------------------------------------------------------------------------------------

/// Brings the page, and what is below a patch, into `held`.
Missing Maps::hold(const Link& link, Held& held) {
  Missing missing;
  held.link = link;
  Page* const page = need(held.link, missing);
  if (page == nullptr) return missing;
  held.page = PagePtr(page);
  for (Page* at = page; at->kind == PageKind::patch && as_patch(*at).base;) {
    held.bases.push_back(as_patch(*at).base);
    at = need(held.bases.back(), missing);
    if (at == nullptr) return missing;
    held.under.emplace_back(at);
  }
  return missing;
}

/// At a leaf a hidden root lets go of what no child holds there.
Missing Maps::visit(Root& root, u64 leaf, const Link& link) {
  const auto gone_at = root.gone.find(leaf);
  const Gone gone = gone_at != root.gone.end() ? gone_at->second : Gone{};
  if (gone.all) return {};
  Held mine;
  if (auto missing = hold(link, mine)) return missing;
  std::vector<Held> others;
  std::unordered_set<u64> known;  // the pages of those that hold all that these name
  any_child_at(root, leaf, [&](Root& child) {
    const auto child_gone = child.gone.find(leaf);
    const Gone* const let_go_there = child_gone != child.gone.end() ? &child_gone->second : nullptr;
    if (let_go_there != nullptr && let_go_there->all) return false;
    Missing absent;
    const Link* const theirs = find_link(child, -1, leaf, absent);
    if (absent) return want(*absent);
    if (theirs == nullptr || (let_go_there == nullptr && !known.insert(theirs->identity()).second)) return false;
    Held held;
    held.gone = let_go_there;
    absent = hold(*theirs, held);
    if (absent) return want(*absent);
    others.push_back(std::move(held));
    return false;
  });
  if (!wanted_.empty()) return wanted_.front();

  const auto name_of = [&](const Held& held, u32 entry) {
    Page* from = nullptr;
    CHECK(!page_with(*held.page, entry, from));
    return from != nullptr ? name_in(*from, entry) : SlotName{};
  };
  std::vector<std::pair<u32, SlotName>> loose;
  bool all = true;
  for (u32 entry = 0; entry < leaf_blocks; ++entry) {
    if (gone.has(entry)) continue;
    const SlotName name = name_of(mine, entry);
    if (!name) continue;
    const bool kept = std::any_of(others.begin(), others.end(), [&](const Held& held) {
      const bool has = held.gone == nullptr || !held.gone->has(entry) || planted(Plant::bitmap_ignored);
      return has && name_of(held, entry) == name;
    });
    if (kept) {
      all = false;
    } else {
      loose.emplace_back(entry, name);
    }
  }
  const auto page_is_kept = [&](const Link& page) {
    return std::any_of(others.begin(), others.end(), [&](const Held& held) {
      const bool as_base = std::find(held.bases.begin(), held.bases.end(), page) != held.bases.end() && !planted(Plant::base_not_held);
      return held.link == page || as_base;
    });
  };
  const bool page_loose = !page_is_kept(mine.link);
  std::vector<Link> loose_bases;
  std::copy_if(mine.bases.begin(), mine.bases.end(), std::back_inserter(loose_bases), [&](const Link& base) { return !page_is_kept(base); });
  all = all && page_loose && loose_bases.size() == mine.bases.size();

  Root* const parent = parent_at(root, leaf);
  const bool dying = root.kind == RootKind::dying;
  for (const auto& [entry, name] : loose) let_go(name, parent, leaf);
  if (dying || all || planted(Plant::page_first)) {
    if (page_loose) let_go(mine.link, parent, leaf);
    for (const Link& base : loose_bases) let_go(base, parent, leaf);
  }
  if (!dying && (all || !loose.empty())) {
    Gone& mark = root.gone[leaf];
    for (const auto& [entry, name] : loose) mark.set(entry);
    mark.all = all;
    if (planted(Plant::no_bitmap)) root.gone.erase(leaf);
    if (!planted(Plant::bitmap_unsaved)) {
      dirty_gone_.insert(root.id << gone_root_shift | leaf / gone_leaves_a_bucket);
    }
  }
  return {};
}

}  // namespace brindle
