// image.h: what a disk holds, as a table of blocks that never change: the copy of a whole disk is the copy of a table.
//
// Holds:  1. A stored block is written once, when it is put on its shelf; images share it.
//         2. A block of zeroes is no block (null), so what was never written and what was filled look alike.
// Caller: whoever keeps an image keeps the shelf of each of its blocks.
#pragma once

#include <memory>
#include <vector>

#include "base/units.h"

namespace brindle::crash {

struct Stored {
  std::byte bytes[block_size];
  u64 hash = 0;
};

/// Mixes two numbers into one that tells as little of them as chance would.
constexpr u64 mix(u64 a, u64 b) {
  u64 z = a * 0x9e3779b97f4a7c15 ^ (b + 0x632be59bd9b4e019);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

u64 hash_of(Bytes bytes);
/// Of a block of zeroes.
u64 zero_hash();

/// Keeps blocks until it is cleared; its memory is used again.
class Shelf {
 public:
  Shelf() = default;
  Shelf(const Shelf&) = delete;
  Shelf& operator=(const Shelf&) = delete;
  /// A copy of the block with its hash; null for zeroes.
  const Stored* put(const std::byte* bytes);
  /// A copy without a hash: for a disk that nobody compares.
  const Stored* put_plain(const std::byte* bytes);
  void clear() { used_ = 0; }

 private:
  static constexpr size_t pallet = 64;
  Stored* next();
  std::vector<std::unique_ptr<Stored[]>> pallets_;
  size_t used_ = 0;
};

/// What block `index` adds to the hash of an image.
constexpr u64 term(u64 index, const Stored* block) { return block == nullptr ? 0 : mix(index + 1, block->hash); }

struct Image {
  explicit Image(u64 size_max) : blocks(size_max / block_size) {}
  u64 size = 0;  // bytes; `fill` makes it grow
  std::vector<const Stored*> blocks;

  /// Of blocks that have hashes.
  u64 hash() const;
};

/// The part of an image's hash that its size is.
constexpr u64 size_term(u64 size) { return mix(0, size); }

}  // namespace brindle::crash
