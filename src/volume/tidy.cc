// tidy.cc: writes what lies scattered once more, so that what follows each other in a volume follows each other on the device.
//
// A block's name is its place in the log, and compaction keeps it. So the only way to bring the blocks of a volume together is
// to write them again: the same content under new names, as if a client had read and written it.
//
// Holds:  1. A piece is read and written with its blocks held alone, as a write of part of a block is: nobody's write comes in between,
//            and a rollback or a cut waits.
//         2. What a snapshot holds as well stays where it is: another copy would take space for ever. So space grows only until
//            the next checkpoint.
//         3. What cannot be read, or has a wrong checksum, stays where and as it is; the checksums go along with the blocks.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/planted.h"
#include "volume/core.h"

namespace brindle {

namespace {

constexpr u64 piece_blocks = 64;  // 256 KiB: what a record holds, and more than readers ahead ask for at once
constexpr u64 worth_blocks = 8;   // fewer in a row are not worth a record
// Who lies together by so many blocks on average reads as fast as if all did: a disk here gives 64 KiB at nearly its full rate.
constexpr u64 together_blocks = 16;

}  // namespace

/// One volume's tidying.
struct EngineCore::Tidying {
  RootId root = 0;
  std::shared_ptr<RangeLocks> locks;
  Progress& progress;
  Status status;  // of the pool: it cannot be written, or is full
};

namespace {

bool may_move(const BlockAt& block, const Root* parent) {
  return block.name && (parent == nullptr || !older(block.name, *parent));
}

}  // namespace

/// What is worth it in one leaf: rows of blocks that are the head's alone, in pieces.
std::vector<EngineCore::Row> EngineCore::scattered(const Root& head, u64 leaf, std::span<const BlockAt> blocks, u64& shared) {
  const Root* const parent = parent_at(head, leaf);
  std::vector<Row> rows;
  for (u64 first = 0; first < blocks.size();) {
    const u64 most = std::min<u64>(round_down(first, piece_blocks) + piece_blocks, blocks.size());
    const bool movable = may_move(blocks[first], parent);
    u64 end = first;
    u64 together = 0;  // parts that lie together
    std::optional<u64> last;
    for (; end < most && static_cast<bool>(blocks[end].name) && may_move(blocks[end], parent) == movable; ++end) {
      const auto at = pool_.space().locate(blocks[end].name);
      together += !last || !at || *at != *last + block_size ? 1 : 0;
      last = at;
    }
    const u64 count = end - first;
    if (count >= worth_blocks && together * together_blocks > count && together > 1) {
      if (movable) {
        rows.push_back({leaf * leaf_blocks + first, count});
      } else {
        shared += count * block_size;
      }
    }
    first = std::max(end, first + 1);
  }
  return rows;
}

Task<void> EngineCore::rewrite(Row row, Tidying& tidying) {
  RangeLocks::Range held(row.first, row.first + row.count, !planted(Plant::tidy_race));
  co_await tidying.locks->acquire(held);
  std::array<BlockAt, piece_blocks> found;
  const std::span<BlockAt> at(found.data(), row.count);
  AlignedBuffer buffer(row.count * block_size);
  bool readable = false;
  {
    const ReadGuard guard(pool_.space());
    readable = co_await read_alone(tidying.root, row, at, buffer.span());
  }
  if (readable && tidying.status) {
    std::array<u32, piece_blocks> crcs;
    for (u64 i = 0; i < row.count; ++i) crcs[i] = at[i].crc;
    const Status written = co_await pool_.write(tidying.root, row.first, buffer.data(), row.count, crcs.data());
    if (written) tidying.progress.rewritten += row.count * block_size;
    if (!written && written.code() != Code::not_found) tidying.status = written;
  }
  tidying.locks->release(held);
}

/// Looks the row up and reads it. False: it cannot be read, or it is no longer all the head's own.
Task<bool> EngineCore::read_alone(RootId id, Row row, std::span<BlockAt> at, MutBytes into) {
  const Root* root = nullptr;
  for (;;) {
    root = maps_.find(id);
    if (root == nullptr || (row.first + row.count) * block_size > round_up(root->size, block_size)) co_return false;
    const Missing missing = maps_.lookup(*root, row.first, at);
    if (!missing) break;
    const Status loaded = co_await maps_.load(*missing);
    if (!loaded) co_return false;
  }
  const Root* const parent = parent_at(*root, row.first / leaf_blocks);
  if (!std::all_of(at.begin(), at.end(), [&](const BlockAt& block) { return may_move(block, parent); })) co_return false;
  std::array<BlockRead, piece_blocks> reads;
  for (u64 i = 0; i < row.count; ++i) reads[i] = {at[i].name, at[i].crc, into.data() + i * block_size};
  const Status read = co_await pool_.read_blocks(std::span<BlockRead>(reads.data(), row.count));
  co_return read.ok();
}

Task<Status> EngineCore::tidy_volume(Tidying& tidying) {
  std::array<BlockAt, leaf_blocks> found;
  const u64 done_before = tidying.progress.done;
  for (u64 leaf = 0;;) {
    if (tidying.progress.stop) co_return Error{Code::cancelled, "it was ended: what was put in order by then stays so"};
    if (stopping_) co_return Error{Code::stopping, "the daemon is stopping"};
    const Root* const root = maps_.find(tidying.root);
    if (root == nullptr) co_return Status{};  // it was deleted meanwhile
    u64 next = leaf;
    Missing missing = maps_.next_leaf(*root, leaf, next);
    const u64 blocks = root->size / block_size;
    if (!missing && (next >= root->leaves() || next * leaf_blocks >= blocks)) {
      tidying.progress.done = done_before + root->size;
      co_return Status{};
    }
    const std::span<BlockAt> at(found.data(), std::min(leaf_blocks, blocks - std::min(blocks, next * leaf_blocks)));
    if (!missing) missing = maps_.lookup(*root, next * leaf_blocks, at);
    if (missing) {
      // A damaged page costs its own leaf: `check` tells of it.
      Status loaded = co_await maps_.load(*missing);
      if (!loaded) leaf = next + 1;
      continue;
    }
    tidying.progress.done = done_before + next * leaf_blocks * block_size;
    const std::vector<Row> rows = scattered(*root, next, at, tidying.progress.shared);
    Gate gate(runtime_);
    for (const Row& row : rows) gate.spawn(rewrite(row, tidying));
    co_await gate.close();
    if (!tidying.status) co_return tidying.status;
    leaf = next + 1;
    co_await runtime_.yield();  // requests go first
  }
}

Task<Status> EngineCore::tidy(std::vector<std::string> names, Progress* progress) {
  const UnderWay under_way(*this);
  Progress unwatched;
  Progress& shown = progress != nullptr ? *progress : unwatched;
  if (auto status = writable(); !status) co_return status;
  std::vector<std::pair<u64, RootId>> volumes;  // size, root
  if (names.empty()) {
    for (const Entry* entry : catalog_.all()) {
      if (!entry->is_snapshot() && !entry->deleted()) names.push_back(entry->full_name());
    }
    std::sort(names.begin(), names.end());
  }
  for (const std::string& name : names) {
    const auto entry = catalog_.lookup(name);
    if (!entry) co_return entry.error();
    if ((*entry)->is_snapshot()) {
      co_return Error{Code::invalid, fmt::format("{} is a snapshot, and never changes: name a volume", name)};
    }
    const Root* const root = maps_.find((*entry)->record.root);
    volumes.emplace_back(root->size, root->id);
    shown.total += root->size;
  }
  for (const auto& [size, root] : volumes) {
    const u64 done = shown.done;
    Tidying tidying{root, locks(root), shown, {}};
    if (auto status = co_await tidy_volume(tidying); !status) co_return status;
    shown.done = done + size;
  }
  co_return Status{};
}

}  // namespace brindle
