#include "format/page.h"

#include <algorithm>
#include <cstring>

namespace brindle {

namespace {

constexpr u16 page_magic = 0x4750;  // "PG"
constexpr u8 encoding_runs = 0;
constexpr u8 encoding_names = 1;
constexpr size_t run_size = 12;

struct PageHeader {
  u16 magic = page_magic;
  PageKind kind = PageKind::none;
  u8 encoding = 0;
  u32 count = 0;  // of a leaf in runs: runs, in names: 0; of a patch: entries; of a node: links
  u64 birth = 0;
};
static_assert(sizeof(PageHeader) == 16);

const Error senseless{Code::corrupt, "a page of a map makes no sense"};

struct Run {
  u32 first;
  u32 count;
  SlotName name;
};

constexpr size_t runs_max = leaf_blocks * sizeof(u64) / run_size;  // more take more room than all names

/// The runs of the leaf; of more than `runs_max` only one more than that.
std::vector<Run> runs_of(const LeafData& leaf) {
  std::vector<Run> runs;
  for (u32 i = 0; i < leaf_blocks && runs.size() <= runs_max; ++i) {
    const SlotName name = leaf.names[i];
    if (!name) continue;
    const bool goes_on = !runs.empty() && runs.back().first + runs.back().count == i &&
                         runs.back().name.plus(runs.back().count) == name;
    if (goes_on) {
      ++runs.back().count;
    } else {
      runs.push_back({i, 1, name});
    }
  }
  return runs;
}

bool read_header(Reader& from, PageKind kind, u64 birth, PageHeader& header) {
  header = from.get<PageHeader>();
  const bool known = header.encoding == encoding_runs || (kind == PageKind::leaf && header.encoding == encoding_names);
  return from.ok() && header.magic == page_magic && header.kind == kind && known && header.birth == birth;
}

}  // namespace

void encode_page_ref(Writer& to, const PageRef& ref) {
  to.put(ref.name.raw);
  to.put(ref.birth << 8 | static_cast<u64>(ref.kind));
  to.put(ref.length);
  to.put(ref.crc);
}

PageRef decode_page_ref(Reader& from) {
  PageRef ref;
  ref.name.raw = from.get<u64>();
  const auto birth_and_kind = from.get<u64>();
  ref.birth = birth_and_kind >> 8;
  ref.length = from.get<u32>();
  ref.crc = from.get<u32>();
  const u64 kind = birth_and_kind & 0xff;
  if (!ref.name && birth_and_kind == 0 && ref.length == 0 && ref.crc == 0) return {};
  if (kind < 1 || kind > 3 || !ref.name || ref.length == 0 || ref.length > page_length_max) {
    from.fail();
    return {};
  }
  ref.kind = static_cast<PageKind>(kind);
  return ref;
}

std::vector<std::byte> encode_leaf(u64 birth, const LeafData& leaf) {
  const std::vector<Run> runs = runs_of(leaf);
  const bool as_runs = runs.size() <= runs_max;
  std::array<u32, leaf_blocks> crcs;
  u32 count = 0;
  for (u32 i = 0; i < leaf_blocks; ++i) {
    crcs[count] = leaf.crcs[i];
    count += leaf.names[i] ? 1 : 0;
  }
  Writer to;
  to.reserve(sizeof(PageHeader) + (as_runs ? runs.size() * run_size : sizeof leaf.names) + count * sizeof(u32));
  to.put(PageHeader{.kind = PageKind::leaf,
                    .encoding = as_runs ? encoding_runs : encoding_names,
                    .count = as_runs ? static_cast<u32>(runs.size()) : 0,
                    .birth = birth});
  if (as_runs) {
    for (const Run& run : runs) {
      to.put(static_cast<u16>(run.first));
      to.put(static_cast<u16>(run.count));
      to.put(run.name.raw);
    }
  } else {
    to.put(leaf.names);
  }
  to.put_bytes(std::as_bytes(std::span(crcs).first(count)));
  return to.take();
}

Result<LeafData> decode_leaf(Bytes bytes, u64 birth) {
  Reader from(bytes);
  PageHeader header;
  if (!read_header(from, PageKind::leaf, birth, header)) return senseless;
  LeafData leaf;
  if (header.encoding == encoding_names) {
    if (header.count != 0) return senseless;
    leaf.names = from.get<std::array<SlotName, leaf_blocks>>();
  } else {
    if (header.count > leaf_blocks) return senseless;
    u32 end = 0;
    for (u32 n = 0; n < header.count; ++n) {
      const u32 first = from.get<u16>();
      const u32 count = from.get<u16>();
      const SlotName name{from.get<u64>()};
      if (!from.ok() || first < end || count == 0 || first + count > leaf_blocks) return senseless;
      if (!name || name.slot() + count > slots_a_segment_max) return senseless;
      for (u32 i = 0; i < count; ++i) leaf.names[first + i] = name.plus(i);
      end = first + count;
    }
  }
  const u64 count = leaf_blocks - static_cast<u64>(std::count(leaf.names.begin(), leaf.names.end(), SlotName{}));
  const Bytes crcs = from.get_bytes(count * sizeof(u32));
  if (!from.done()) return senseless;
  const std::byte* next = crcs.data();
  for (u32 i = 0; i < leaf_blocks; ++i) {
    if (!leaf.names[i]) continue;
    std::memcpy(&leaf.crcs[i], next, sizeof(u32));
    next += sizeof(u32);
  }
  return leaf;
}

std::vector<std::byte> encode_patch(u64 birth, const PatchData& patch) {
  Writer to;
  to.reserve(sizeof(PageHeader) + page_ref_size + sizeof patch.has +
             patch.names.size() * (sizeof(SlotName) + sizeof(u32)));
  to.put(PageHeader{.kind = PageKind::patch, .count = static_cast<u32>(patch.names.size()), .birth = birth});
  encode_page_ref(to, patch.base);
  to.put(patch.has);
  to.put_bytes(std::as_bytes(std::span(patch.names)));
  to.put_bytes(std::as_bytes(std::span(patch.crcs)));
  return to.take();
}

Result<PatchData> decode_patch(Bytes bytes, u64 birth) {
  Reader from(bytes);
  PageHeader header;
  if (!read_header(from, PageKind::patch, birth, header)) return senseless;
  PatchData patch;
  patch.base = decode_page_ref(from);
  patch.has = from.get<decltype(patch.has)>();
  u32 bits = 0;
  for (u64 word : patch.has) bits += static_cast<u32>(std::popcount(word));
  if (!from.ok() || patch.base.kind == PageKind::node || bits != header.count) return senseless;
  const Bytes names = from.get_bytes(bits * sizeof(SlotName));
  const Bytes crcs = from.get_bytes(bits * sizeof(u32));
  if (!from.done()) return senseless;
  patch.names.resize(bits);
  patch.crcs.resize(bits);
  if (bits > 0) {
    std::memcpy(patch.names.data(), names.data(), names.size());
    std::memcpy(patch.crcs.data(), crcs.data(), crcs.size());
  }
  const bool hides = std::any_of(patch.names.begin(), patch.names.end(), [](SlotName name) { return !name; });
  if (hides && !patch.base) return senseless;
  return patch;
}

std::vector<std::byte> encode_node(u64 birth, const NodeData& node) {
  Writer to;
  std::array<u64, node_links / 64> has{};
  u32 count = 0;
  for (u32 i = 0; i < node_links; ++i) {
    if (!node[i]) continue;
    has[i / 64] |= u64{1} << (i % 64);
    ++count;
  }
  to.put(PageHeader{.kind = PageKind::node, .count = count, .birth = birth});
  to.put(has);
  for (const PageRef& ref : node) {
    if (ref) encode_page_ref(to, ref);
  }
  return to.take();
}

Result<NodeData> decode_node(Bytes bytes, u64 birth) {
  Reader from(bytes);
  PageHeader header;
  if (!read_header(from, PageKind::node, birth, header)) return senseless;
  const auto has = from.get<std::array<u64, node_links / 64>>();
  NodeData node{};
  u32 links = 0;
  for (u32 i = 0; i < node_links; ++i) {
    if ((has[i / 64] >> (i % 64) & 1) == 0) continue;
    node[i] = decode_page_ref(from);
    if (!from.ok() || !node[i]) return senseless;
    ++links;
  }
  if (!from.done() || links != header.count) return senseless;
  return node;
}

}  // namespace brindle
