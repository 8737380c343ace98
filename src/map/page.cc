#include "map/page.h"

#include <algorithm>

#include "base/planted.h"

namespace brindle {

namespace {

// A run takes one word: its first entry, how many there are, and how far its name is behind the last one of the run before (some slots, in
// which the records of a batch lie). Where it is further away, or before that, two words with the name follow.
constexpr u32 runs_max = 32;  // a look at an entry goes through those before it
constexpr u32 gap_bits = 14;
constexpr u32 count_bits = 9;
constexpr u32 gap_elsewhere = (1U << gap_bits) - 1;
constexpr u32 count_mask = (1U << count_bits) - 1;
constexpr u32 words_a_run_max = 3;
static_assert(leaf_blocks == 1U << count_bits);

}  // namespace

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

u64 Leaf::bytes() const {
  if (data_) return sizeof(Leaf) + sizeof(LeafData);
  return sizeof(Leaf) + (leaf_blocks + words_) * sizeof(u32);
}

Leaf::Leaf(const LeafData& data) : Page(PageKind::leaf) {
  for (SlotName name : data.names) count += name ? 1 : 0;
  if (!fold(data)) data_ = std::make_unique<LeafData>(data);
}

void Leaf::fold() {
  if (data_ && fold(*data_)) data_.reset();
}

/// False: it has too many runs.
bool Leaf::fold(const LeafData& data) {
  std::array<u32, runs_max * words_a_run_max> words;
  u32 made = 0;
  u32 runs = 0;
  SlotName behind;  // the last run
  for (u32 entry = 0; entry < leaf_blocks;) {
    const SlotName name = data.names[entry];
    if (!name) {
      ++entry;
      continue;
    }
    u32 length = 1;
    while (entry + length < leaf_blocks && data.names[entry + length] == name.plus(length)) ++length;
    if (runs++ == runs_max) return false;
    const u64 gap = std::min<u64>(name.raw - behind.raw, gap_elsewhere);
    words[made++] = entry << (count_bits + gap_bits) | (length - 1) << gap_bits | static_cast<u32>(gap);
    if (gap == gap_elsewhere) {
      words[made++] = static_cast<u32>(name.raw >> 32);
      words[made++] = static_cast<u32>(name.raw);
    }
    behind = name.plus(length);
    entry += length;
  }
  words_ = made;
  folded_ = std::make_unique_for_overwrite<u32[]>(leaf_blocks + made);
  std::copy_n(words.begin(), made, std::copy(data.crcs.begin(), data.crcs.end(), folded_.get()));
  return true;
}

class Leaf::Runs {
 public:
  explicit Runs(const Leaf& leaf) : at_(&leaf.folded_[leaf_blocks]), end_(at_ + leaf.words_) {}
  /// False: there was none any more.
  bool next(Run& run) {
    if (at_ == end_) return false;
    const u32 word = *at_++;
    const u32 gap = word & gap_elsewhere;
    if (gap == gap_elsewhere) {
      behind_.raw = u64{at_[0]} << 32 | at_[1];
      at_ += 2;
    } else {
      behind_ = behind_.plus(gap);
    }
    run = {word >> (count_bits + gap_bits), (word >> gap_bits & count_mask) + 1, behind_};
    behind_ = behind_.plus(run.count);
    return true;
  }

 private:
  const u32* at_;
  const u32* end_;
  SlotName behind_;
};

void Leaf::copy_to(LeafData& to) const {
  if (data_) {
    to = *data_;
    return;
  }
  to.names = {};
  Runs runs(*this);
  for (Run from; runs.next(from);) {
    for (u32 i = 0; i < from.count; ++i) to.names[from.first + i] = from.name.plus(i);
  }
  std::copy_n(folded_.get(), leaf_blocks, to.crcs.begin());
}

SlotName Leaf::folded_name(u32 entry) const {
  Runs runs(*this);
  for (Run in; runs.next(in) && entry >= in.first;) {
    if (entry - in.first < in.count) return in.name.plus(entry - in.first);
  }
  return {};
}

u64 Patch::bytes() const {
  const u64 lists = data.names.capacity() * sizeof(SlotName) + data.crcs.capacity() * sizeof(u32);
  const u64 own = sizeof(Patch) + lists + (merged_ ? sizeof(LeafData) : 0);
  return widens ? std::max<u64>(own, sizeof(Leaf) + sizeof(LeafData)) : own;
}

PatchData Patch::entries() const {
  PatchData own = data;
  for (u32 entry = 0; merged_ && entry < leaf_blocks; ++entry) {
    if (!covers(entry) || planted(Plant::merged_forgets)) continue;
    own.names.push_back(name(entry));
    own.crcs.push_back(crc(entry));
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

void Patch::merge(Leaf& leaf) {
  CHECK(state == PageState::clean && !blind && !merged_);
  std::unique_ptr<LeafData> all = leaf.take();
  if (!planted(Plant::merged_upside_down)) lay_over(*all);
  merged_ = std::move(all);
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
