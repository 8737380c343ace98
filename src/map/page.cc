#include "map/page.h"

#include <algorithm>

#include "base/planted.h"

namespace brindle {

u64 Page::bytes() const {
  switch (kind) {
    case PageKind::leaf: return static_cast<const Leaf&>(*this).bytes();
    case PageKind::node: return sizeof(Node);
    case PageKind::patch: return static_cast<const Patch&>(*this).bytes();
    case PageKind::none: break;
  }
  return 0;
}

void destroy(Page* page) {
  switch (page->kind) {
    case PageKind::leaf: delete static_cast<Leaf*>(page); break;
    case PageKind::node: delete static_cast<Node*>(page); break;
    case PageKind::patch: delete static_cast<Patch*>(page); break;
    case PageKind::none: break;
  }
}

Leaf::Leaf(const LeafData& data) : Page(PageKind::leaf), entries_(Entries::packed(data)) {
  for (SlotName name : data.names) count += name ? 1 : 0;
}

u64 Patch::bytes() const {
  const u64 lists = data.names.capacity() * sizeof(SlotName) + data.crcs.capacity() * sizeof(u32);
  const u64 own = sizeof(Patch) + lists + merged_.bytes();
  return widens ? std::max<u64>(own, sizeof(Leaf) + sizeof(LeafData)) : own;
}

PatchData Patch::entries() const {
  PatchData own = data;
  for (u32 entry = 0; merged_ && entry < leaf_blocks; ++entry) {
    if (!covers(entry) || planted(Plant::merged_forgets)) continue;
    own.names.push_back(at(entry).name);
    own.crcs.push_back(at(entry).crc);
  }
  if (planted(Plant::merged_forgets) && merged_) own.has = {};
  return own;
}

void Patch::lay_over(LeafData& base_data) const {
  for (u32 entry = 0, rank = 0; entry < leaf_blocks; ++entry) {
    if (!covers(entry)) continue;
    base_data.names[entry] = data.names[rank];
    base_data.crcs[entry] = data.crcs[rank];
    ++rank;
  }
}

void Patch::merge(const Leaf& leaf) {
  CHECK(state == PageState::clean && !blind && !merged_);
  LeafData all;
  leaf.copy_to(all);
  if (!planted(Plant::merged_upside_down)) lay_over(all);
  merged_ = Entries::packed(all);
  data.names = std::vector<SlotName>();  // `{}` would keep its memory
  data.crcs = std::vector<u32>();
}

void Patch::set(u32 entry, SlotName name, u32 crc) {
  const u32 rank = data.rank(entry);
  if (!name && (!base || planted(Plant::hole_uncovers))) {
    if (!data.covers(entry)) return;
    data.has[entry / 64] &= ~(u64{1} << (entry % 64));
    data.names.erase(data.names.begin() + rank);
    data.crcs.erase(data.crcs.begin() + rank);
    return;
  }
  if (data.covers(entry)) {
    data.names[rank] = name;
    data.crcs[rank] = crc;
    return;
  }
  data.has[entry / 64] |= u64{1} << (entry % 64);
  data.names.insert(data.names.begin() + rank, name);
  data.crcs.insert(data.crcs.begin() + rank, crc);
}

void Patch::drop_hiding() {
  for (u32 entry = 0; entry < leaf_blocks; ++entry) {
    if (data.covers(entry) && !data.names[data.rank(entry)]) set(entry, {}, 0);
  }
}

std::vector<std::byte> encode_page(Page& page) {
  if (page.kind == PageKind::leaf) return encode_leaf(page.birth, as_leaf(page).data());
  if (page.kind == PageKind::patch) {
    Patch& patch = as_patch(page);
    CHECK(!patch.blind && !patch.is_merged() && patch.base.held() == nullptr);
    patch.data.base = patch.base.ref();
    return encode_patch(page.birth, patch.data);
  }
  Node& node = as_node(page);
  NodeData data{};
  for (u64 i = 0; i < node_links; ++i) {
    if (!node.links[i]) continue;
    // A root on its way out let go of a page that never had a place; nobody will look for it there again.
    const Page* const held = node.links[i].held();
    if (held != nullptr && held->state == PageState::dropped) continue;
    data[i] = node.links[i].ref();
    CHECK_NOTE(data[i], "a page is written before one that it names");
  }
  return encode_node(page.birth, data);
}

Result<PagePtr> decode_page(const PageRef& ref, Bytes bytes) {
  PagePtr page;
  if (ref.kind == PageKind::leaf) {
    auto data = decode_leaf(bytes, ref.birth);
    if (!data) return data.error();
    page = PagePtr(new Leaf(*data));
  } else if (ref.kind == PageKind::patch) {
    auto data = decode_patch(bytes, ref.birth);
    if (!data) return data.error();
    auto* patch = new Patch();
    page = PagePtr(patch);
    patch->data = std::move(*data);
    patch->base = Link(patch->data.base);
  } else {
    auto data = decode_node(bytes, ref.birth);
    if (!data) return data.error();
    auto* node = new Node();
    page = PagePtr(node);
    for (u64 i = 0; i < node_links; ++i) {
      if (!(*data)[i]) continue;
      node->links[i] = Link((*data)[i]);
      ++node->count;
    }
  }
  page->birth = ref.birth;
  page->place = ref;
  page->state = PageState::clean;
  return page;
}

}  // namespace brindle
