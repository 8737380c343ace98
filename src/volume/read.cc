// read.cc: reading a volume or snapshot, and telling its holes.
//
// Holds:  up to 256 KiB (at any alignment) are looked up at one instant, so such a read never mixes old and new.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <boost/container/static_vector.hpp>

#include "base/planted.h"
#include "volume/core.h"
#include "volume/parts.h"

namespace brindle {

namespace {

constexpr u64 extent_blocks = 512;  // looked up at a time
constexpr u64 looks_a_turn = 8;     // some 50 us

/// Something for each block of a part. Most reads are of one, so that no more than those that there are come to be.
template <class T>
using BlocksOf = boost::container::static_vector<T, part_blocks_max>;

}  // namespace

Task<Status> HandleCore::read(u64 offset, MutBytes into) {
  const EngineCore::UnderWay under_way(engine_);
  Status status = check(offset, into.size(), false);
  if (!status) co_return status;
  ++engine_.counted_.reads;
  engine_.counted_.read_bytes += into.size();
  if (into.size() <= part_bytes) {
    co_await read_part(offset, into, status);
    co_return status;
  }
  while (!into.empty() && status) {
    Gate gate(engine_.runtime_);
    for (u64 i = 0; i < parts_at_once && !into.empty(); ++i) {
      const u64 size = std::min<u64>(into.size(), part_bytes - offset % block_size);
      gate.spawn(read_part(offset, into.first(size), status));
      offset += size;
      into = into.subspan(size);
    }
    co_await gate.close();
  }
  co_return status;
}

Task<void> HandleCore::read_part(u64 offset, MutBytes into, Status& status) {
  if (into.empty()) co_return;
  const u64 first = offset / block_size;
  const u64 count = div_up(offset + into.size(), block_size) - first;
  const u64 skip = offset % block_size;
  const bool direct = skip == 0 && into.size() % block_size == 0 && is_aligned(into.data());
  AlignedBuffer bounce(direct ? 0 : count * block_size);
  std::byte* const to = direct ? into.data() : bounce.data();
  BlocksOf<std::byte*> blocks;
  for (u64 i = 0; i < count; ++i) blocks.push_back(to + i * block_size);
  const std::span<std::byte* const> all(blocks);
  Status read = co_await read_blocks(first, all);
  if (!read) {
    status = read;
  } else if (!direct) {
    std::memcpy(into.data(), to + skip, into.size());
  }
}

Task<Status> HandleCore::read_blocks(u64 first_block, std::span<std::byte* const> into) {
  if (planted(Plant::read_in_pieces) && into.size() > 1) {
    for (size_t i = 0; i < into.size(); ++i) {
      if (auto status = co_await read_blocks(first_block + i, into.subspan(i, 1)); !status) co_return status;
    }
    co_return Status{};
  }
  const ReadGuard guard(engine_.pool_.space());
  BlocksOf<BlockAt> at(into.size());
  std::vector<PagePtr> held;  // until all that it needs is there
  for (;;) {
    const Root* const root = engine_.maps_.find(root_);
    if (root == nullptr) co_return Error{Code::not_found, "the volume was deleted"};
    const Missing missing = engine_.maps_.lookup(*root, first_block, at);
    if (!missing) break;
    Status loaded = co_await engine_.maps_.load(*missing, held);
    if (!loaded) co_return loaded;
  }
  held.clear();
  BlocksOf<BlockRead> reads;
  for (size_t i = 0; i < into.size(); ++i) {
    if (at[i].name) {
      reads.push_back({at[i].name, at[i].crc, into[i]});
    } else {
      std::memset(into[i], 0, block_size);
    }
  }
  if (reads.empty()) co_return Status{};
  const std::span<BlockRead> all(reads);
  co_return co_await engine_.pool_.read_blocks(all);
}

Task<Result<std::vector<Extent>>> HandleCore::extents(u64 offset, u64 length, u64 count_max) {
  const EngineCore::UnderWay under_way(engine_);
  if (auto status = check(offset, length, false); !status) co_return status.error();
  std::vector<Extent> extents;
  const u64 end = offset + length;
  const auto add = [&](u64 until, bool data) {
    const u64 size = std::min(until, end) - offset;
    offset += size;
    if (!extents.empty() && extents.back().data == data) {
      extents.back().length += size;
    } else {
      extents.push_back({size, data});
    }
  };
  std::array<BlockAt, extent_blocks> found;
  for (u64 looks = 0; offset < end && extents.size() <= count_max; ++looks) {
    // Whatever was asked for: of all that walk, one goes on in a turn.
    if (looks == 1 || (looks > 1 && looks % looks_a_turn == 0)) {
      co_await engine_.walking_.acquire();
      co_await engine_.runtime_.yield();
      engine_.walking_.release();
    }
    const u64 block = offset / block_size;
    const u64 count = std::min(extent_blocks - block % extent_blocks, div_up(end, block_size) - block);
    const Root* const root = engine_.maps_.find(root_);
    if (root == nullptr) co_return Error{Code::not_found, "the volume was deleted"};
    u64 leaf = 0;
    Missing missing = engine_.maps_.next_leaf(*root, block / leaf_blocks, leaf);
    if (!missing && leaf > block / leaf_blocks) {
      const bool beyond = leaf >= root->leaves();
      add(beyond ? end : leaf * leaf_blocks * block_size, false);
      continue;
    }
    const std::span<BlockAt> at(found.data(), count);
    if (!missing) missing = engine_.maps_.lookup(*root, block, at);
    if (missing) {
      Status loaded = co_await engine_.maps_.load(*missing);
      if (!loaded) co_return loaded.error();
      continue;
    }
    for (u64 i = 0; i < count; ++i) add((block + i + 1) * block_size, static_cast<bool>(at[i].name));
  }
  if (extents.size() > count_max) extents.resize(count_max);
  co_return extents;
}

}  // namespace brindle
