// map_data.cc: the second half of the walk: reading the blocks themselves, and telling who holds what is bad.
#include <algorithm>

#include "base/crc32c.h"
#include "check/map_walk.h"
#include "runtime/sync.h"

namespace brindle {

namespace {

constexpr u64 blocks_a_piece = 64;
constexpr u64 pieces_at_once = 16;

}  // namespace

/// Reads what waits, in the order of the device and several pieces at once.
Task<void> MapWalk::read_data() {
  std::vector<DataRead> reads = std::exchange(to_read_, {});
  std::sort(reads.begin(), reads.end(), [](const DataRead& a, const DataRead& b) { return a.offset < b.offset; });
  if (!reads.empty() && buffer_.size() == 0) buffer_ = AlignedBuffer(pieces_at_once * blocks_a_piece * block_size);
  const std::span<const DataRead> all(reads);
  for (size_t at = 0; at < all.size() && !disk_.stopped();) {
    Gate gate(runtime_);
    for (u64 piece = 0; piece < pieces_at_once && at < all.size(); ++piece) {
      size_t end = at + 1;
      while (end < all.size() && end - at < blocks_a_piece && all[end].offset == all[end - 1].offset + block_size) ++end;
      const MutBytes into = buffer_.span().subspan(piece * blocks_a_piece * block_size, (end - at) * block_size);
      gate.spawn(read_piece(all.subspan(at, end - at), into));
      at = end;
    }
    co_await gate.close();
  }
}

Task<void> MapWalk::read_piece(std::span<const DataRead> blocks, MutBytes into) {
  const Status whole = co_await disk_.read_blocks(blocks.front().offset, into);
  for (size_t i = 0; i < blocks.size() && !disk_.stopped(); ++i) {
    const MutBytes one = into.subspan(i * block_size, block_size);
    if (!whole) {
      // An error of the device names no block: each is tried by itself.
      const Status status = co_await disk_.read_blocks(blocks[i].offset, one);
      if (!status && status.code() == Code::cancelled) co_return;
      if (!status) {
        bad_block(blocks[i].name, "io", status.error().message);
        continue;
      }
    }
    if (crc32c(one) == blocks[i].crc) {
      disk_.checked(blocks[i].offset, block_size, "data");
    } else {
      bad_block(blocks[i].name, "checksum", "a block's checksum is wrong");
    }
  }
}

// --- who holds it ---------------------------------------------------------------------------------------------------

Task<Ranges> MapWalk::damage_of(CheckedRoot& root) {
  Ranges ranges;
  const PageRef map = root.record.map;
  co_await collect(root, map, root.record.height - 1, 0, ranges);
  co_return ranges;
}

Task<void> MapWalk::collect(const CheckedRoot& root, PageRef link, int level, u64 first, Ranges& out) {
  if (!link || !is_damaged(link) || disk_.stopped()) co_return;
  const u64 first_block = first * leaf_blocks;
  // What lies beyond the end of the volume is nothing that anybody could read.
  const u64 end_block = std::min(first_block + span_of(level) * leaf_blocks, root.record.size / block_size);
  if (first_block >= end_block) co_return;
  if (const auto at = bad_pages_.find(link.name.raw); at != bad_pages_.end()) {
    at->second.held = true;
    out.add(first_block, end_block, &at->second);
    co_return;
  }
  if (level >= 0) {
    const CheckedPagePtr page = co_await page_of(link);
    if (page == nullptr) co_return;
    const u64 step = span_of(level - 1);
    for (u64 slot = 0; slot < node_links; ++slot) {
      const PageRef child = std::get<NodeData>(*page)[slot];
      co_await collect(root, child, level - 1, first + slot * step, out);
    }
    co_return;
  }
  const Chain chain = co_await chain_of(link);
  const Entries entries = entries_of(chain);
  Bad* base = nullptr;  // what lies below the patch, where that is bad
  for (const PageRef& ref : chain.refs) {
    const auto at = bad_pages_.find(ref.name.raw);
    if (at == bad_pages_.end()) continue;
    base = &at->second;
    base->held = true;
    break;
  }
  for (u32 entry = 0; entry < end_block - first_block; ++entry) {
    const u64 block = first_block + entry;
    if (base != nullptr && (!entries.known[entry] || !base->unreadable)) {
      out.add(block, block + 1, base);
      continue;
    }
    if (!entries.names[entry]) continue;
    const auto at = bad_blocks_.find(entries.names[entry].raw);
    if (at == bad_blocks_.end()) continue;
    at->second.held = true;
    out.add(block, block + 1, &at->second);
  }
}

}  // namespace brindle
