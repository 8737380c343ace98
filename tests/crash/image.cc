#include "crash/image.h"

#include <cstring>

namespace brindle::crash {

u64 hash_of(Bytes bytes) {
  u64 a = 0x243f6a8885a308d3;
  u64 b = 0x13198a2e03707344;
  size_t at = 0;
  for (; at + 16 <= bytes.size(); at += 16) {
    u64 word[2];
    std::memcpy(word, bytes.data() + at, sizeof word);
    a = (a ^ word[0]) * 0x9e3779b97f4a7c15;
    b = (b ^ word[1]) * 0xc2b2ae3d27d4eb4f;
    a ^= a >> 29;
    b ^= b >> 31;
  }
  u64 rest = bytes.size();
  for (; at < bytes.size(); ++at) rest = rest * 257 + static_cast<u64>(bytes[at]);
  return mix(mix(a, b), rest);
}

u64 zero_hash() {
  static const u64 hash = [] {
    const Stored zeroes{};
    return hash_of(zeroes.bytes);
  }();
  return hash;
}

Stored* Shelf::next() {
  if (used_ == pallets_.size() * pallet) pallets_.emplace_back(new Stored[pallet]);
  Stored* const block = &pallets_[used_ / pallet][used_ % pallet];
  ++used_;
  return block;
}

const Stored* Shelf::put(const std::byte* bytes) {
  const u64 hash = hash_of({bytes, block_size});
  if (hash == zero_hash()) return nullptr;
  Stored* const block = next();
  std::memcpy(block->bytes, bytes, block_size);
  block->hash = hash;
  return block;
}

const Stored* Shelf::put_plain(const std::byte* bytes) {
  Stored* const block = next();
  std::memcpy(block->bytes, bytes, block_size);
  return block;
}

u64 Image::hash() const {
  u64 hash = size_term(size);
  for (u64 index = 0; index < blocks.size(); ++index) hash ^= term(index, blocks[index]);
  return hash;
}

}  // namespace brindle::crash
