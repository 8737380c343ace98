// write.cc: writing, zeroing and discarding.
//
// Holds:  up to 256 KiB (at any alignment) go into one data record, so they are all there or not at all. Whole blocks are
//         never read first; of a block that is written in part the rest is read, with nobody else writing it meanwhile.
#include <algorithm>
#include <cstring>

#include "base/planted.h"
#include "volume/core.h"
#include "volume/parts.h"

namespace brindle {

namespace {

// From so many whole leaves on, a hidden snapshot that dies takes them away; fewer are named one by one.
constexpr u64 cut_leaves_min = 16;
constexpr u64 zero_blocks_max = cut_leaves_min * leaf_blocks;

}  // namespace

Task<Status> HandleCore::write_summed(u64 offset, Bytes from, bool fua, const u32* crcs) {
  const EngineCore::UnderWay under_way(engine_);
  Status status = check(offset, from.size(), true);
  if (!status) co_return status;
  ++engine_.counted_.writes;
  engine_.counted_.write_bytes += from.size();
  if (from.size() <= part_bytes) {
    if (!from.empty()) status = co_await write_part(offset, from, crcs);
  } else {
    while (!from.empty() && status) {
      Gate gate(engine_.runtime_);
      for (u64 i = 0; i < parts_at_once && !from.empty(); ++i) {
        const u64 size = std::min<u64>(from.size(), part_bytes - offset % block_size);
        gate.spawn(write_parallel(offset, from.first(size), crcs, status));
        if (crcs != nullptr) crcs += size / block_size;
        offset += size;
        from = from.subspan(size);
      }
      co_await gate.close();
    }
  }
  if (status && fua && !planted(Plant::no_fua)) status = co_await engine_.pool_.flush();
  co_return status;
}

/// One of several parts at once: what fails is kept, whatever the others come to.
Task<void> HandleCore::write_parallel(u64 offset, Bytes from, const u32* crcs, Status& failed) {
  Status status = co_await write_part(offset, from, crcs);
  if (!status || planted(Plant::part_error_hidden)) failed = status;
}

Task<Status> HandleCore::write_part(u64 offset, Bytes from, const u32* crcs) {
  const u64 first = offset / block_size;
  const u64 end = div_up(offset + from.size(), block_size);
  const u64 skip = offset % block_size;
  const u64 rest = end * block_size - (offset + from.size());
  const bool whole = skip == 0 && rest == 0;
  RangeLocks::Range held(first, end, !whole && !planted(Plant::partial_race));
  if (!locks_->try_acquire(held)) co_await locks_->acquire(held);
  Status status;
  const bool direct = whole && is_aligned(from.data());
  AlignedBuffer staging(direct ? 0 : (end - first) * block_size);
  if (!direct) {
    if (skip > 0 || (rest > 0 && end - first == 1)) {
      std::byte* const into[] = {staging.data()};
      status = co_await read_blocks(first, into);
    }
    if (status && rest > 0 && end - first > 1) {
      std::byte* const into[] = {staging.data() + (end - first - 1) * block_size};
      status = co_await read_blocks(planted(Plant::partial_merge) ? first : end - 1, into);
    }
    std::memcpy(staging.data() + skip, from.data(), from.size());
  }
  if (status) {
    status = co_await engine_.pool_.write(root_, first, direct ? from.data() : staging.data(), end - first, crcs);
  }
  locks_->release(held);
  co_return status;
}

Task<Status> HandleCore::zero_blocks(u64 first, u64 end) {
  const u64 first_leaf = div_up(first, leaf_blocks);
  const u64 end_leaf = end / leaf_blocks;
  if (end_leaf >= first_leaf + cut_leaves_min) {
    if (first < first_leaf * leaf_blocks) {
      if (auto status = co_await engine_.pool_.zero(root_, first, first_leaf * leaf_blocks - first); !status) {
        co_return status;
      }
    }
    const DiscardLeaves command{root_, first_leaf, end_leaf - first_leaf, engine_.next_root_++};
    if (auto status = co_await engine_.discard_leaves(command); !status) co_return status;
    first = end_leaf * leaf_blocks;
  }
  while (first < end) {
    const u64 count = std::min(end - first, zero_blocks_max);
    if (auto status = co_await engine_.pool_.zero(root_, first, count); !status) co_return status;
    first += count;
  }
  co_return Status{};
}

/// Zeroes the whole blocks of the range; with `edges` the parts of blocks at its ends too.
Task<Status> HandleCore::zero_range(u64 offset, u64 length, bool edges) {
  Status status;
  const u64 end = offset + length;
  const u64 first = div_up(offset, block_size);
  const u64 last = end / block_size;
  if (edges) {
    const AlignedBuffer zeroes = [] {
      AlignedBuffer buffer(block_size);
      buffer.clear();
      return buffer;
    }();
    const Bytes bytes = zeroes.span();
    const u64 head_end = std::min(end, first * block_size);
    if (offset < head_end) status = co_await write_part(offset, bytes.first(head_end - offset));
    if (status && first <= last && last * block_size < end) {
      status = co_await write_part(last * block_size, bytes.first(end - last * block_size));
    }
  }
  if (!status || first >= last) co_return status;
  RangeLocks::Range held(first, last, false);
  co_await locks_->acquire(held);
  status = co_await zero_blocks(first, last);
  locks_->release(held);
  co_return status;
}

Task<Status> HandleCore::zero(u64 offset, u64 length, bool fua) {
  const EngineCore::UnderWay under_way(engine_);
  Status status = check(offset, length, true);
  if (!status) co_return status;
  ++engine_.counted_.writes;
  status = co_await zero_range(offset, length, true);
  if (status && fua) status = co_await engine_.pool_.flush();
  co_return status;
}

Task<Status> HandleCore::discard(u64 offset, u64 length, bool fua) {
  const EngineCore::UnderWay under_way(engine_);
  Status status = check(offset, length, true);
  if (!status) co_return status;
  status = co_await zero_range(offset, length, false);
  if (!status && status.code() == Code::no_space) status = Status{};  // it is only advice
  if (status && fua) status = co_await engine_.pool_.flush();
  co_return status;
}

}  // namespace brindle
