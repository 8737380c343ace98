// root.h: what names a map: a head, a snapshot, or a hidden root on its way out; and the family tree that they form.
//
// Holds:  1. A head's parent is the snapshot that it continues. Whatever holds an object is a connected part of the tree.
//         2. A dying root is gone from the leaves below its cursor: there its child's parent is its own parent.
//         3. A branch point is a deleted root with two or more children; it keeps its map, and `gone` tells what it let go.
#pragma once

#include <map>
#include <unordered_map>

#include "base/planted.h"
#include "format/tables.h"
#include "map/page.h"

namespace brindle {

struct Gone {
  bool all = false;
  std::array<u64, leaf_blocks / 64> blocks{};

  bool has(u32 entry) const { return all || (blocks[entry / 64] >> (entry % 64) & 1) != 0; }
  void set(u32 entry) { blocks[entry / 64] |= u64{1} << (entry % 64); }
};

struct Root {
  RootId id = 0;
  RootKind kind = RootKind::head;
  EntryId entry = 0;
  u64 number = 0;
  SlotName position;
  u64 size = 0;  // bytes
  u8 height = 1;
  u64 cursor = 0;
  Link map;

  Root* parent = nullptr;
  Root* first_child = nullptr;  // a list through next and previous
  Root* next = nullptr;
  Root* previous = nullptr;
  u64 children = 0;

  std::map<u64, Gone> gone;            // by leaf
  std::map<u64, u64> rescan;           // of a branch point: ranges of leaves [first, end) to look at
  Root* holder = nullptr;              // of a branch point: the child that last turned out to hold something
  bool queued = false;

  bool hidden() const { return kind == RootKind::branch || kind == RootKind::dying; }
  /// Has it let go of anything in the leaves [first, end)?
  bool let_go_within(u64 first, u64 end) const {
    const auto at = gone.lower_bound(first);
    return at != gone.end() && at->first < end;
  }
  /// Leaves that the tree has room for.
  u64 leaves() const { return u64{1} << (8 * height); }
};

/// Is the object older than the root: did it exist when the root was made?
inline bool older(SlotName block, const Root& root) { return block < root.position; }
inline bool older(const Link& page, const Root& root) {
  if (planted(Plant::older_or_equal)) return page.birth() <= root.number;
  if (planted(Plant::older_by_one)) return page.birth() + 1 < root.number;
  return page.birth() < root.number;
}

inline constexpr u8 map_height_max = 5;  // nodes between root and leaf
/// The nodes between root and leaf for a volume of that size.
constexpr u8 height_for(u64 size) {
  u8 height = 1;
  while (height < map_height_max && (leaf_blocks * block_size) << (8 * height) < size) ++height;
  return height;
}

/// The parent at a leaf. Each leaf has its own family tree, and a dying root leaves one after the other.
inline Root* parent_at(const Root& root, u64 leaf) {
  Root* parent = root.parent;
  while (parent != nullptr && leaf < parent->cursor && !planted(Plant::no_cursor)) parent = parent->parent;
  return parent;
}

/// Calls `visit(child)` for each child at a leaf until one returns true; returns whether one did.
template <class F>
bool any_child_at(const Root& root, u64 leaf, const F& visit) {
  for (Root* child = root.first_child; child != nullptr; child = child->next) {
    if (planted(Plant::no_grandchild) && leaf < child->cursor) continue;
    if (leaf >= child->cursor ? visit(*child) : any_child_at(*child, leaf, visit)) return true;
  }
  return false;
}

void add_child(Root& parent, Root& child);
void remove_child(Root& child);

}  // namespace brindle
