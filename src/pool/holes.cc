#include "pool/holes.h"

#include "base/bitmap.h"

namespace brindle {

bool Holes::add(u64 chunk) {
  const auto lived_in = space_.blocks_lived_in(chunk);
  if (!lived_in) return false;
  const u64 blocks = space_.chunk_size() / block_size;
  for (u64 from = 0; (from = next_bit(*lived_in, false, from, blocks)) < blocks;) {
    const u64 to = next_bit(*lived_in, true, from, blocks);
    runs_.emplace(to - from, space_.chunk_offset(chunk) + from * block_size);
    left_ += to - from;
    from = to;
  }
  space_.mark_used(chunk, ChunkUse::target);
  chunks_.push_back(chunk);
  return true;
}

Holes::Run Holes::take(u64 blocks, u64 least) {
  auto at = runs_.lower_bound(blocks);
  if (at == runs_.end()) {
    if (runs_.empty() || std::prev(at)->first < least) return {};
    --at;
  }
  const auto [length, offset] = *at;
  runs_.erase(at);
  const u64 taken = std::min(blocks, length);
  if (taken < length) runs_.emplace(length - taken, offset + taken * block_size);
  left_ -= taken;
  return {offset, taken};
}

void Holes::leave() {
  for (u64 chunk : chunks_) space_.leave_target(chunk);
  chunks_.clear();
  runs_.clear();
  left_ = 0;
}

}  // namespace brindle
