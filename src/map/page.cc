#include "map/page.h"

#include "base/planted.h"

namespace brindle {

u64 Page::bytes() const {
  switch (kind) {
    case PageKind::leaf: return sizeof(Leaf);
    case PageKind::node: return sizeof(Node);
    case PageKind::patch: {
      const auto& patch = static_cast<const Patch&>(*this);
      return sizeof(Patch) + patch.data.names.capacity() * sizeof(SlotName) + patch.data.crcs.capacity() * sizeof(u32);
    }
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
  if (page.kind == PageKind::leaf) return encode_leaf(page.birth, as_leaf(page).data);
  if (page.kind == PageKind::patch) {
    Patch& patch = as_patch(page);
    CHECK(!patch.blind && patch.base.held() == nullptr);
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
    auto* leaf = new Leaf();
    page = PagePtr(leaf);
    leaf->data = *data;
    for (SlotName name : leaf->data.names) leaf->count += name ? 1 : 0;
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
