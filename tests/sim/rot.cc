#include "sim/faults.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "format/batch.h"
#include "format/superblock.h"

namespace brindle::sim {

namespace {

enum class Kind : u8 { superblock, table, page, batch, anything };
constexpr u64 kinds = 5;

constexpr std::byte page_magic[] = {std::byte{'P'}, std::byte{'G'}};

bool holds_page(const std::vector<std::byte>& block) {
  for (u64 at = 0; at < block_size; at += page_slot_size) {
    if (std::equal(std::begin(page_magic), std::end(page_magic), block.begin() + static_cast<std::ptrdiff_t>(at)))
      return true;
  }
  return false;
}

bool begins_batch(const std::vector<std::byte>& block) {
  u32 magic = 0;
  std::memcpy(&magic, block.data(), sizeof magic);
  return magic == batch_magic;
}

/// The blocks of a kind, as far as one can tell from outside.
std::vector<u64> blocks_of(const SimDisk& disk, Kind kind) {
  std::optional<Superblock> super;
  if (const auto at = disk.blocks.find(0); at != disk.blocks.end()) {
    if (auto parsed = parse_superblock(at->second)) super = *parsed;
  }
  const auto is_one = [&](u64 number, const std::vector<std::byte>& block) {
    switch (kind) {
      case Kind::superblock: return number == 0 || number == superblock_b_offset / block_size;
      case Kind::table:
        return super && number * block_size / super->chunk_size == super->root_offset / super->chunk_size;
      case Kind::page: return holds_page(block);
      case Kind::batch: return begins_batch(block);
      case Kind::anything: return true;
    }
    return false;
  };
  std::vector<u64> found;
  for (const auto& [number, block] : disk.blocks) {
    const bool empty = std::all_of(block.begin(), block.end(), [](std::byte byte) { return byte == std::byte{}; });
    if (!empty && is_one(number, block)) found.push_back(number);
  }
  return found;
}

}  // namespace

void rot(SimDisk& disk, Rng& rng) {
  const std::vector<u64> blocks = blocks_of(disk, static_cast<Kind>(rng.below(kinds)));
  if (blocks.empty()) return;
  const u64 number = blocks[rng.below(blocks.size())];
  std::vector<std::byte>& block = disk.blocks[number];
  // Of most blocks a small part is filled: there.
  std::vector<u64> filled;
  for (u64 at = 0; at < block_size; ++at) {
    if (block[at] != std::byte{}) filled.push_back(at);
  }
  block[filled[rng.below(filled.size())]] ^= std::byte{1} << rng.below(8);
  disk.cached.erase(number);
}

}  // namespace brindle::sim
