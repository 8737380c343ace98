// write.cc: how a head's map changes, and what the head lets go of.
//
//   page at the leaf           in place?  becomes
//   none                       –          a patch over nothing, or a new leaf where there is much to name
//   leaf or patch, own         yes        the same, changed; a patch that grew too large becomes a leaf
//   leaf, shared or sealed     no         a patch over it (the leaf need not be in memory)
//   patch, shared or sealed    no         a new patch over the same leaf; over the patch itself while that is not in
//                                         memory ("blind": merged as soon as it is)
#include <algorithm>

#include "base/planted.h"
#include "map/maps.h"

namespace brindle {

namespace {

// A patch with more entries than this becomes a leaf, at once if what it stands over is at hand, else before the next checkpoint: 64
// entries are an eighth of a leaf. Over a map that is far larger than its memory a leaf gets one write between two checkpoints, and
// its whole patch is written for it: patches without a bound would cost as much as the data.
constexpr size_t patch_entries_max = 64;

}  // namespace

bool Maps::in_place(const Root& head, const Link& link) const {
  const Page* page = link.held();
  if (page == nullptr || page->state != PageState::dirty) return false;
  return page->birth >= head.number && (!is_sealed(*page) || planted(Plant::no_seal));
}

const Page* Maps::resident(const Link& link) {
  if (const Page* page = link.held()) return page;
  return cache_.find(link.ref());
}

Missing Maps::write_needs(const Root& head, u64 first_block, u64 count) {
  Missing missing;
  const u64 last = (first_block + count - 1) / leaf_blocks;
  for (u64 leaf = first_block / leaf_blocks; leaf <= last && !missing; ++leaf) find_link(head, -1, leaf, missing);
  return missing;
}

void Maps::write(Root& head, u64 number, u64 first_block, u64 count, SlotName first_name, const u32* crcs) {
  for (u64 done = 0; done < count;) {
    const u64 block = first_block + done;
    const u64 leaf = block / leaf_blocks;
    const u32 first = static_cast<u32>(block % leaf_blocks);
    const u32 part = static_cast<u32>(std::min<u64>(leaf_blocks - first, count - done));
    const SlotName name = first_name ? first_name.plus(done) : SlotName{};
    bool wanted = static_cast<bool>(name);
    if (!wanted) {
      Missing missing;
      wanted = find_link(head, -1, leaf, missing) != nullptr;
      CHECK(!missing);
    }
    if (wanted) write_leaf(head, leaf, number, first, part, name, crcs != nullptr ? crcs + done : nullptr);
    done += part;
  }
}

/// The link to the page at a leaf, in nodes that the head may change. The nodes are in memory.
Link* Maps::own_path(Root& head, u64 leaf, u64 number) {
  CHECK(leaf < head.leaves());
  Link* at = &head.map;
  for (int level = head.height - 1; level >= 0; --level) {
    if (!*at) {
      auto* node = new Node();
      node->level = static_cast<u8>(level);
      node->birth = number;
      add_dirty(*node);
      *at = Link(node);
      dirty(head);
    } else if (!in_place(head, *at)) {
      Missing missing;
      Page* const old = need(*at, missing);
      CHECK(old != nullptr);
      auto* node = new Node();
      node->level = static_cast<u8>(level);
      node->birth = number;
      node->count = as_node(*old).count;
      node->links = as_node(*old).links;
      add_dirty(*node);
      // A node is an object of the last leaf that it covers.
      const u64 last = leaf | ((u64{1} << (8 * (level + 1))) - 1);
      if (!planted(Plant::node_leak)) let_go(*at, parent_at(head, last), std::nullopt);
      *at = Link(node);
      dirty(head);
    }
    Node& node = as_node(*at->held());
    Link& link = node.links[leaf >> (8 * level) & 0xff];
    // Whoever fills an empty link counts it here; `prune` counts those that stay or become empty back.
    if (!link) ++node.count;
    at = &link;
  }
  return at;
}

/// Takes a link that became empty out of its node, and nodes that became empty out of theirs.
void Maps::prune(Root& head, u64 leaf) {
  std::vector<Link*> path{&head.map};
  for (int level = head.height - 1; level >= 0; --level) {
    Node& node = as_node(*path.back()->held());
    path.push_back(&node.links[leaf >> (8 * level) & 0xff]);
  }
  CHECK(!*path.back());
  for (size_t depth = path.size() - 1; depth > 0; --depth) {
    Node& node = as_node(*path[depth - 1]->held());
    CHECK(node.count > 0);
    if (--node.count > 0) return;
    const Link empty = std::exchange(*path[depth - 1], Link());
    let_go(empty, nullptr, std::nullopt);
  }
  dirty(head);
}

void Maps::write_leaf(Root& head, u64 leaf, u64 number, u32 first, u32 count, SlotName name, const u32* crcs) {
  Link* const at = own_path(head, leaf, number);
  Root* const parent = parent_at(head, leaf);
  const auto crc = [&](u32 i) { return name ? crcs[i] : 0; };
  const auto name_of = [&](u32 i) { return name ? name.plus(i) : SlotName{}; };

  if (*at && in_place(head, *at)) {
    Page& page = *at->held();
    const u64 before = page.bytes();
    if (page.kind == PageKind::leaf) {
      Leaf& own = as_leaf(page);
      LeafData& data = own.data();
      for (u32 i = 0; i < count; ++i) {
        const SlotName old = std::exchange(data.names[first + i], name_of(i));
        data.crcs[first + i] = crc(i);
        own.count += (name ? 1U : 0U) - (old ? 1U : 0U);
        if (old) let_go(old, parent, leaf);
      }
      if (own.count == 0) {
        const Link empty = std::exchange(*at, Link());
        let_go(empty, nullptr, std::nullopt);
        prune(head, leaf);
      }
      return;
    }
    Patch& patch = as_patch(page);
    forget(page, parent, leaf, first, count);
    for (u32 i = 0; i < count; ++i) patch.set(first + i, name_of(i), crc(i));
    grew(page, before);
    if (patch.empty()) {
      const Link empty = std::exchange(*at, Link());
      let_go(empty, nullptr, std::nullopt);
      prune(head, leaf);
      return;
    }
    settle_size(head, *at, leaf, number, parent);
    return;
  }

  const Link old = *at;
  Page* const old_page = old ? const_cast<Page*>(resident(old)) : nullptr;
  const bool whole = count == leaf_blocks;
  if (!old || whole) {
    if (old_page != nullptr) {
      forget(*old_page, parent, leaf, first, count);
    } else if (old) {
      for (u32 i = 0; i < count; ++i) owe(old.ref(), first + i, parent, leaf);
    }
    Link base;
    if (old_page != nullptr && old_page->kind == PageKind::patch) {
      const Patch& patch = as_patch(*old_page);
      if (patch.blind) {
        owe_base(patch.base.ref(), parent, leaf);
      } else {
        base = patch.base;
        // One that could not be read when this patch was made: it is a patch itself, over one more page.
        if (base && base.kind() == PageKind::patch) owe_base(base.ref(), parent, leaf);
      }
    } else if (old && old_page == nullptr && old.kind() == PageKind::patch) {
      owe_base(old.ref(), parent, leaf);
    }
    Link made;
    if (name && count <= patch_entries_max) {
      auto* fresh = new Patch();
      made = Link(fresh);
      fresh->birth = number;
      for (u32 i = 0; i < count; ++i) fresh->set(first + i, name_of(i), crc(i));
      add_dirty(*fresh);
    } else if (name) {
      auto* fresh = new Leaf();
      fresh->birth = number;
      fresh->count = count;
      for (u32 i = 0; i < count; ++i) {
        fresh->data().names[first + i] = name_of(i);
        fresh->data().crcs[first + i] = crc(i);
      }
      add_dirty(*fresh);
      made = Link(fresh);
    }
    *at = made;
    if (old) let_go(old, parent, leaf);
    if (base) let_go(base, parent, leaf);
    if (!made) prune(head, leaf);
    return;
  }

  auto* patch = new Patch();
  const Link keep(patch);
  patch->birth = number;
  if (old_page != nullptr && old_page->kind == PageKind::patch) {
    forget(*old_page, parent, leaf, first, count);
    const Patch& from = as_patch(*old_page);
    patch->base = from.base;
    patch->blind = from.blind;
    patch->data = from.entries();
  } else {
    if (old_page != nullptr) {
      forget(*old_page, parent, leaf, first, count);
    } else {
      for (u32 i = 0; i < count; ++i) owe(old.ref(), first + i, parent, leaf);
    }
    patch->base = old;
    patch->blind = old.kind() == PageKind::patch;
  }
  for (u32 i = 0; i < count; ++i) patch->set(first + i, name_of(i), crc(i));
  *at = patch->empty() ? Link() : keep;
  // What the device does not read no seal waits for: a patch over that keeps it as its base.
  const bool keeps = patch->blind && stalled_debts_.contains(patch->base.ref().name.raw);
  if (keeps) {
    patch->abandon_base();
  } else if (patch->blind) {
    pending_of(patch->base.ref()).blind.push_back({PagePtr(patch), head.id, leaf});
  }
  if (old.kind() == PageKind::patch && !keeps) let_go(old, parent, leaf);
  if (!*at) {
    prune(head, leaf);
    return;
  }
  add_dirty(*patch);
  settle_size(head, *at, leaf, number, parent);
}

/// A patch that names much of its leaf costs more than the leaf: it becomes one, where the leaf is in memory.
void Maps::settle_size(Root& head, Link& at, u64 leaf, u64 number, Root* parent) {
  Patch& patch = as_patch(*at.held());
  if (patch.blind || patch.data.names.size() <= patch_entries_max) return;
  const Page* const base = patch.base ? resident(patch.base) : nullptr;
  if (patch.base && base == nullptr) return want_base(head, patch, leaf);
  if (base != nullptr && base->kind != PageKind::leaf) return;
  auto* whole = new Leaf();
  const Link made(whole);
  whole->birth = number;
  LeafData& data = whole->data();
  if (base != nullptr) static_cast<const Leaf&>(*base).copy_to(data);
  patch.lay_over(data);
  for (SlotName name : data.names) whole->count += name ? 1 : 0;
  const Link old_base = patch.base;
  const Link old = std::exchange(at, whole->count > 0 ? made : Link());
  if (whole->count > 0) add_dirty(*whole);
  let_go(old, nullptr, std::nullopt);
  if (old_base && !planted(Plant::base_leak)) let_go(old_base, parent, leaf);
  if (!at) prune(head, leaf);
}

/// The base of a patch that grew too large is to be read before the checkpoint, as it would be for a debt.
void Maps::want_base(Root& head, Patch& patch, u64 leaf) {
  const PageRef base = patch.base.ref();
  if (patch.widens || base.kind != PageKind::leaf || stalled_debts_.contains(base.name.raw)) return;
  const u64 before = patch.bytes();
  patch.widens = true;
  grew(patch, before);
  pending_of(base).wide.push_back({PagePtr(&patch), head.id, leaf});
}

/// The same, of one that was noted some time ago: whatever happened since, it must still be the head's own.
void Maps::settle_size_of(const Over& over) {
  Root* const head = find(over.head);
  if (head == nullptr || over.leaf >= head->leaves()) return;
  Link* at = &head->map;
  for (int level = head->height - 1; level >= 0; --level) {
    Page* const node = at->held();
    if (node == nullptr || node->kind != PageKind::node) return;
    at = &as_node(*node).links[over.leaf >> (8 * level) & 0xff];
  }
  if (at->held() != over.patch.get() || (!in_place(*head, *at) && !planted(Plant::wide_shared))) return;
  settle_size(*head, *at, over.leaf, over.patch->birth, parent_at(*head, over.leaf));
}

// --- letting go -----------------------------------------------------------------------------------------------------

void Maps::let_go(SlotName block, Root* parent, u64 leaf) {
  if (parent == nullptr || !older(block, *parent)) {
    pool_.space().free_block(block);
    pool_.touch();
  } else if (parent->kind == RootKind::branch && !planted(Plant::no_rescan)) {
    mark_rescan(*parent, leaf, leaf + 1);
  }
}

/// Without a parent the page is the head's own. `leaf`: of a leaf or patch; a node of a branch point goes with it.
void Maps::let_go(const Link& link, Root* parent, std::optional<u64> leaf) {
  if (parent != nullptr && older(link, *parent)) {
    if (parent->kind == RootKind::branch && leaf) mark_rescan(*parent, *leaf, *leaf + 1);
    return;
  }
  if (const Page* held = link.held()) {
    Page& page = const_cast<Page&>(*held);
    CHECK(page.state == PageState::dirty && !page.let_go);
    if (is_sealed(page)) {
      page.let_go = true;
    } else {
      drop(page);
    }
    return;
  }
  free_page(link.ref());
  pool_.touch();
}

/// The head is about to hide these entries of a page in memory: what they named is let go.
void Maps::forget(Page& page, Root* parent, u64 leaf, u32 first, u32 count) {
  for (u32 entry = first; entry < first + count; ++entry) {
    Page* at = nullptr;
    if (const Missing missing = page_with(page, entry, at)) owe(*missing, entry, parent, leaf);
    if (at == nullptr) continue;
    if (const SlotName old = name_in(*at, entry)) let_go(old, parent, leaf);
  }
}

// --- whole ranges ---------------------------------------------------------------------------------------------------

Missing Maps::grow(Root& head, u64 size, u64 number) {
  const u8 height = height_for(size);
  while (head.height < height) {
    if (head.map) {
      auto* node = new Node();
      node->level = head.height;
      node->birth = number;
      node->links[0] = head.map;
      node->count = 1;
      add_dirty(*node);
      head.map = Link(node);
    }
    ++head.height;
  }
  sized(head, size);
  return {};
}

Missing Maps::cut(RootId hidden, u64 number, SlotName position, Root& head, u64 first, u64 end) {
  end = std::min(end, head.leaves());
  if (first >= end) return {};
  u64 leaf = 0;
  if (auto missing = next_leaf(head, first, leaf)) return missing;
  if (leaf >= end) return {};  // nothing is there
  // Twice the same walk: first only to see that all the nodes on the two edges are in memory.
  if (auto missing = cut_node(head, head.map, head.height - 1, 0, first, end, number, true)) return missing;
  Root& dying = snapshot(hidden, number, position, head, 0);
  dying.kind = RootKind::dying;
  dying.cursor = first;
  dying.queued = true;
  cuts_.push_back(dying.id);
  static_cast<void>(cut_node(head, head.map, head.height - 1, 0, first, end, number, false));
  return {};
}

/// Empties what [first, end) covers below a link; `base` is the first leaf below it. All of it is the dying root's.
Missing Maps::cut_node(Root& head, Link& link, int level, u64 base, u64 first, u64 end, u64 number, bool check) {
  const u64 span = u64{1} << (8 * (level + 1));
  if (!link || base >= end || base + span <= first) return {};
  if (base >= first && base + span <= end) {
    if (!check) link = Link();
    return {};
  }
  Missing missing;
  Page* const page = need(link, missing);
  if (page == nullptr) return missing;
  Node* node = &as_node(*page);
  if (!check) {
    auto* own = new Node();
    own->level = static_cast<u8>(level);
    own->birth = number;
    own->links = node->links;
    add_dirty(*own);
    link = Link(own);
    node = own;
  }
  const u64 step = span / node_links;
  for (u64 i = 0; i < node_links; ++i) {
    missing = cut_node(head, node->links[i], level - 1, base + i * step, first, end, number, check);
    if (missing) return missing;
  }
  if (!check) {
    node->count = 0;
    for (const Link& child : node->links) node->count += child ? 1 : 0;
    if (node->count == 0) {
      const Link empty = std::exchange(link, Link());
      let_go(empty, nullptr, std::nullopt);
    }
    dirty(head);
  }
  return {};
}

}  // namespace brindle
