#include "pool/holes.h"

#include "base/bitmap.h"

namespace brindle {

bool Holes::add(u64 chunk) {
  const auto lived_in = space_.blocks_lived_in(chunk);
  if (!lived_in) return false;
  const u64 blocks = space_.chunk_size() / block_size;
  of_length_.resize(blocks + 1);
  lengths_.resize(div_up(blocks + 1, 64));
  for (u64 from = 0; (from = next_bit(*lived_in, false, from, blocks)) < blocks;) {
    const u64 to = next_bit(*lived_in, true, from, blocks);
    put(space_.chunk_offset(chunk) + from * block_size, to - from);
    left_ += to - from;
    from = to;
  }
  space_.mark_used(chunk, ChunkUse::target);
  chunks_.push_back(chunk);
  return true;
}

void Holes::put(u64 offset, u64 blocks) {
  of_length_[blocks].offsets.push_back(offset);
  set_bit(lengths_, blocks);
}

Holes::Run Holes::take(u64 blocks, u64 least) {
  if (left_ == 0) return {};
  const u64 lengths = of_length_.size();
  u64 length = next_bit(lengths_, true, std::min(blocks, lengths), lengths);
  if (length == lengths) {  // none is long enough: the longest
    for (length = std::min(blocks, lengths) - 1; !bit_at(lengths_, length);) --length;
    if (length < least) return {};
  }
  Runs& runs = of_length_[length];
  const u64 offset = runs.offsets[runs.given++];
  if (runs.given == runs.offsets.size()) {
    runs.offsets.clear();
    runs.given = 0;
    set_bit_to(lengths_, length, false);
  }
  const u64 taken = std::min(blocks, length);
  if (taken < length) put(offset + taken * block_size, length - taken);
  left_ -= taken;
  return {offset, taken};
}

void Holes::leave() {
  for (u64 chunk : chunks_) space_.leave_target(chunk);
  chunks_.clear();
  of_length_ = {};
  lengths_ = {};
  left_ = 0;
}

}  // namespace brindle
