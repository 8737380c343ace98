#include "map/compare.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/planted.h"

namespace brindle {

namespace {

/// A subtree: the link to it, and the level of the node that it names (-1: a leaf or patch).
struct Tree {
  Link link;
  int level = -1;
};

Tree tree_of(const Root& root) { return {root.map, root.height - 1}; }

Task<Result<PagePtr>> page_of(Maps& maps, Link link) {
  Missing missing;
  while (true) {
    missing.reset();
    if (Page* page = maps.need(link, missing)) co_return PagePtr(page);
    auto loaded = co_await maps.cache().load(*missing);
    if (!loaded) co_return loaded.error();
  }
}

using LeafBlocks = std::array<BlockAt, leaf_blocks>;

/// All 512 entries of a leaf or patch.
Task<Result<LeafBlocks>> blocks_of(Maps& maps, Link link) {
  LeafBlocks blocks{};
  std::array<bool, leaf_blocks> known{};
  while (link) {
    auto page = co_await page_of(maps, link);
    if (!page) co_return page.error();
    link = Link();
    if ((*page)->kind == PageKind::leaf) {
      const Leaf& leaf = as_leaf(**page);
      for (u32 i = 0; i < leaf_blocks; ++i) {
        if (!known[i]) blocks[i] = leaf.at(i);
      }
    } else {
      const Patch& patch = as_patch(**page);
      for (u32 i = 0; i < leaf_blocks; ++i) {
        if (!patch.says(i)) continue;
        if (!known[i]) blocks[i] = patch.at(i);
        known[i] = true;
      }
      if (!patch.is_merged()) link = patch.base;
    }
  }
  co_return blocks;
}

/// The children of the trees at one level, for one of the 256 slots. A lower tree is its taller ones' first child.
Task<Result<std::vector<Tree>>> below(Maps& maps, const std::vector<Tree>& trees, int level, u64 slot) {
  std::vector<Tree> children;
  for (const Tree& tree : trees) {
    if (tree.level < level) {
      if (slot == 0) children.push_back(tree);
      continue;
    }
    auto page = co_await page_of(maps, tree.link);
    if (!page) co_return page.error();
    const Link& link = as_node(**page).links[slot];
    if (link) children.push_back({link, level - 1});
  }
  co_return children;
}

/// Drops doubles, and from `mine` what `others` has just the same.
void reduce(std::vector<Tree>& mine, std::vector<Tree>& others) {
  std::unordered_set<u64> theirs;
  std::erase_if(others, [&](const Tree& tree) { return !tree.link || !theirs.insert(tree.link.identity()).second; });
  std::unordered_set<u64> seen;
  std::erase_if(mine, [&](const Tree& tree) {
    if (!tree.link) return true;
    const u64 id = tree.link.identity();
    return theirs.contains(id) || !seen.insert(id).second;
  });
}

/// Requests go first, and nobody who stops the daemon waits for an answer.
Task<Status> give_way(Maps& maps, const bool& stopping) {
  co_await maps.pool().runtime().yield();
  if (stopping) co_return Error{Code::stopping, "the daemon is stopping"};
  co_return Status{};
}

/// Blocks that `mine` name and `others` do not.
Task<Result<u64>> count_difference(Maps& maps, std::vector<Tree> mine, std::vector<Tree> others, int level, const bool& stopping) {
  reduce(mine, others);
  if (mine.empty()) co_return u64{0};
  if (auto status = co_await give_way(maps, stopping); !status) co_return status.error();
  u64 count = 0;
  if (level < 0) {
    std::vector<LeafBlocks> theirs;
    for (const Tree& tree : others) {
      auto blocks = co_await blocks_of(maps, tree.link);
      if (!blocks) co_return blocks.error();
      theirs.push_back(*blocks);
    }
    std::unordered_set<u64> counted;
    for (const Tree& tree : mine) {
      auto blocks = co_await blocks_of(maps, tree.link);
      if (!blocks) co_return blocks.error();
      for (u32 i = 0; i < leaf_blocks; ++i) {
        const SlotName name = (*blocks)[i].name;
        const bool held = std::any_of(theirs.begin(), theirs.end(), [&](const LeafBlocks& x) { return x[i].name == name; });
        if (name && !held && counted.insert(name.raw).second) ++count;
      }
    }
    co_return count;
  }
  for (u64 slot = 0; slot < node_links; ++slot) {
    auto mine_below = co_await below(maps, mine, level, slot);
    if (!mine_below) co_return mine_below.error();
    if (mine_below->empty()) continue;
    auto others_below = co_await below(maps, others, level, slot);
    if (!others_below) co_return others_below.error();
    auto part = co_await count_difference(maps, std::move(*mine_below), std::move(*others_below), level - 1, stopping);
    if (!part) co_return part.error();
    count += *part;
  }
  co_return count;
}

int top_level(const std::vector<Tree>& a, const std::vector<Tree>& b) {
  int level = 0;
  for (const Tree& tree : a) level = std::max(level, tree.level);
  for (const Tree& tree : b) level = std::max(level, tree.level);
  return level;
}

/// Gathers differing ranges, in order, joining neighbours of one kind.
void add_diff(std::vector<BlockDiff>& diffs, u64 block, bool zero) {
  if (!diffs.empty()) {
    BlockDiff& last = diffs.back();
    if (last.zero == zero && last.first_block + last.count == block) {
      ++last.count;
      return;
    }
  }
  diffs.push_back({block, 1, zero});
}

Task<Status> diff_trees(Maps& maps, Tree from, Tree to, int level, u64 leaf, std::vector<BlockDiff>& diffs, const bool& stopping) {
  if (from.link == to.link && from.level == to.level) co_return Status{};
  if (!from.link && !to.link) co_return Status{};
  if (planted(Plant::diff_one_side) && (!from.link || !to.link)) co_return Status{};
  if (auto status = co_await give_way(maps, stopping); !status) co_return status;
  if (level < 0) {
    auto before = co_await blocks_of(maps, from.link);
    if (!before) co_return before.error();
    auto after = co_await blocks_of(maps, to.link);
    if (!after) co_return after.error();
    for (u32 i = 0; i < leaf_blocks; ++i) {
      if ((*before)[i].name != (*after)[i].name) add_diff(diffs, leaf * leaf_blocks + i, !(*after)[i].name);
    }
    co_return Status{};
  }
  for (u64 slot = 0; slot < node_links; ++slot) {
    std::vector<Tree> one;
    std::vector<Tree> two;
    if (from.link) one.push_back(from);
    if (to.link) two.push_back(to);
    auto a = co_await below(maps, one, level, slot);
    if (!a) co_return a.error();
    auto b = co_await below(maps, two, level, slot);
    if (!b) co_return b.error();
    const Tree x = a->empty() ? Tree{} : a->front();
    const Tree y = b->empty() ? Tree{} : b->front();
    const u64 at = leaf + slot * span_of(level - 1);
    if (auto status = co_await diff_trees(maps, x, y, level - 1, at, diffs, stopping); !status) co_return status;
  }
  co_return Status{};
}

/// Where a walk over leaves is: it begins at the front of a tree, and goes on in whatever the tree is by then.
struct Walk {
  u64 leaf = 0;   // the next one to look at
  u64 end = 0;    // what the step covers, from `leaf` on
  int level = 0;  // of the page at which the step ends
  Link link;      // the leaf's, or none: nothing is there that nobody has seen
  // By level + 1, of the pages on the way down, those at whose front the walk was and that have not been exchanged since; else 0. (A page
  // without a place has no name for life yet: it is looked at once more where somebody else holds it too.)
  std::array<u64, map_height_max + 1> names{};

  /// Some of what is below this page cannot be read: whoever else holds it is to be told of that too.
  void damaged() { std::fill(names.begin() + level + 1, names.end(), 0); }
  /// Pages that end with the step have been seen in whole.
  void note_seen(std::set<u64>& seen) const {
    for (int at = level; at < map_height_max && end % span_of(at) == 0; ++at) {
      if (names[static_cast<size_t>(at + 1)] != 0) seen.insert(names[static_cast<size_t>(at + 1)]);
    }
  }
};

/// Goes down to the walk's leaf, or as far as there is something new. The page that is missing: it begins again when that is there.
Missing go_down(Maps& maps, const Root& root, const std::set<u64>* seen, Walk& walk) {
  Missing missing;
  walk.link = root.map;
  for (walk.level = root.height - 1;; --walk.level) {
    const u64 span = span_of(walk.level);
    walk.end = round_down(walk.leaf, span) + span;
    const u64 name = walk.link && walk.link.held() == nullptr ? walk.link.ref().name.raw : 0;
    u64& known = walk.names[static_cast<size_t>(walk.level + 1)];
    const bool front = walk.leaf + span == walk.end;
    if (front || known != name) known = front ? name : 0;
    if (!walk.link) break;
    if (front && name != 0 && seen != nullptr && seen->count(name) > 0) {
      walk.link = Link();
      break;
    }
    if (walk.level < 0) break;
    Page* const page = maps.need(walk.link, missing);
    if (page == nullptr) break;
    walk.link = Link(as_node(*page).links[walk.leaf >> (8 * walk.level) & 0xff]);
  }
  return missing;
}

}  // namespace

Task<Result<u64>> count_blocks(Maps& maps, RootId id, const bool& stopping) {
  const ReadGuard guard(maps.pool().space());
  const Root* const root = maps.find(id);
  if (root == nullptr) co_return Error{Code::not_found, "it is gone"};
  const std::vector<Tree> mine{tree_of(*root)};
  const std::vector<Tree> none;
  co_return co_await count_difference(maps, mine, none, root->height - 1, stopping);
}

Task<Result<u64>> count_freed(Maps& maps, std::vector<RootId> set, const bool& stopping) {
  const ReadGuard guard(maps.pool().space());
  const std::set<RootId> chosen(set.begin(), set.end());
  std::set<RootId> seen;
  std::vector<std::pair<std::vector<Tree>, std::vector<Tree>>> parts;
  for (RootId id : set) {
    Root* const start = maps.find(id);
    if (start == nullptr || !seen.insert(id).second) continue;
    std::vector<Root*> part{start};
    std::vector<Tree> mine;
    std::vector<Tree> edge;
    const auto meet = [&](Root& root) {
      if (!chosen.contains(root.id) && (!root.hidden() || planted(Plant::set_alone))) {
        edge.push_back(tree_of(root));
      } else if (seen.insert(root.id).second) {
        part.push_back(&root);
      }
    };
    for (size_t i = 0; i < part.size(); ++i) {
      Root& root = *part[i];
      if (planted(Plant::set_first_only) && i > 0) continue;
      if (chosen.contains(root.id)) mine.push_back(tree_of(root));
      for (Root* child = root.first_child; child != nullptr; child = child->next) meet(*child);
      if (root.parent != nullptr) meet(*root.parent);
    }
    parts.emplace_back(std::move(mine), std::move(edge));
  }
  u64 count = 0;
  for (auto& [mine, edge] : parts) {
    const int level = top_level(mine, edge);
    auto part = co_await count_difference(maps, std::move(mine), std::move(edge), level, stopping);
    if (!part) co_return part.error();
    count += *part;
  }
  co_return count;
}

Task<Result<std::vector<BlockDiff>>> diff_roots(Maps& maps, RootId from, RootId to, const bool& stopping) {
  const ReadGuard guard(maps.pool().space());
  const Root* const a = maps.find(from);
  const Root* const b = maps.find(to);
  if (a == nullptr || b == nullptr) co_return Error{Code::not_found, "it is gone"};
  std::vector<BlockDiff> diffs;
  const Tree x = tree_of(*a);
  const Tree y = tree_of(*b);
  const int level = std::max(x.level, y.level);
  if (auto status = co_await diff_trees(maps, x, y, level, 0, diffs, stopping); !status) co_return status.error();
  co_return diffs;
}

Task<Status> walk_leaves(Maps& maps, RootId id, std::set<u64>* seen, LeafVisitor visit,
                         std::function<void(u64, u64, const Error&)> damaged) {
  Walk walk;
  for (;;) {
    // One leaf at a time: what dies meanwhile is not to stay because somebody looks at everything.
    const ReadGuard guard(maps.pool().space());
    const Root* const root = maps.find(id);
    if (root == nullptr || walk.leaf >= root->leaves()) co_return Status{};
    const Missing missing = go_down(maps, *root, seen, walk);
    if (missing) {
      auto loaded = co_await maps.cache().load(*missing);
      if (loaded) continue;
      damaged(walk.leaf, walk.end - walk.leaf, loaded.error());
      walk.damaged();
      walk.link = Link();
    }
    if (walk.link) {
      const Link link = walk.link;
      auto blocks = co_await blocks_of(maps, link);
      if (!blocks) {
        damaged(walk.leaf, 1, blocks.error());
        walk.damaged();
      } else if (auto status = co_await visit(walk.leaf, *blocks); !status) {
        co_return status;
      }
    }
    if (seen != nullptr) walk.note_seen(*seen);
    walk.leaf = walk.end;
  }
}

}  // namespace brindle
