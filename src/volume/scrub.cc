// scrub.cc: reads every live block back, and names all who hold one that is damaged.
#include <algorithm>
#include <array>
#include <set>

#include "volume/core.h"

namespace brindle {

namespace {

constexpr u64 blocks_a_read = 64;

/// Blocks that were read, a bit for each slot.
class Seen {
 public:
  /// True the first time.
  bool add(SlotName name) {
    std::vector<u64>& bits = segments_[name.segment()];
    const u64 word = name.slot() / 64;
    if (bits.size() <= word) bits.resize(word + 1);
    const u64 bit = u64{1} << (name.slot() % 64);
    if ((bits[word] & bit) != 0) return false;
    bits[word] |= bit;
    return true;
  }

 private:
  std::unordered_map<u64, std::vector<u64>> segments_;
};

struct Damaged {
  u64 block = 0;  // of a volume
  SlotName name;
  bool io = false;
};

void add_range(std::vector<DamageRange>& ranges, DamageRange range) {
  if (!ranges.empty()) {
    DamageRange& last = ranges.back();
    if (last.volume == range.volume && last.kind == range.kind && last.offset + last.length == range.offset) {
      last.length += range.length;
      return;
    }
  }
  ranges.push_back(std::move(range));
}

}  // namespace

Task<Result<std::vector<DamageRange>>> EngineCore::scrub(Progress* progress) {
  const UnderWay under_way(*this);
  Progress unwatched;
  Progress& shown = progress != nullptr ? *progress : unwatched;
  shown.total = pool_.space().live_blocks() * block_size;
  std::vector<std::pair<EntryId, RootId>> roots;
  for (const Entry* entry : catalog_.all()) {
    if (!entry->deleted()) roots.emplace_back(entry->record.id, entry->record.root);
  }
  std::sort(roots.begin(), roots.end());

  AlignedBuffer buffer(blocks_a_read * block_size);
  Seen seen_blocks;
  std::set<u64> seen_pages;
  std::vector<Damaged> damaged;
  std::vector<DamageRange> ranges;
  const LeafVisitor visit = [&](u64 leaf, std::span<const BlockAt> blocks) -> Task<Status> {
    std::array<BlockRead, blocks_a_read> reads;
    std::array<u64, blocks_a_read> numbers;
    for (size_t i = 0; i < blocks.size();) {
      if (shown.stop || stopping_) co_return Error{Code::cancelled, "the scrub was ended"};
      size_t count = 0;
      for (; i < blocks.size() && count < blocks_a_read; ++i) {
        if (!blocks[i].name || !seen_blocks.add(blocks[i].name)) continue;
        numbers[count] = leaf * leaf_blocks + i;
        reads[count] = {blocks[i].name, blocks[i].crc, buffer.data() + count * block_size};
        ++count;
      }
      if (count == 0) continue;
      const std::span<BlockRead> all(reads.data(), count);
      Status status = co_await pool_.read_blocks(all);
      shown.done += count * block_size;
      if (status) continue;
      // An error of the device names no block: each is tried by itself.
      for (size_t k = 0; k < count; ++k) {
        reads[k].damaged = false;
        Status one = co_await pool_.read_blocks(all.subspan(k, 1));
        if (!one) damaged.push_back({numbers[k], reads[k].name, one.code() == Code::io});
      }
    }
    co_return Status{};
  };
  for (const auto& [entry_id, root] : roots) {
    const Entry* const entry = catalog_.find(entry_id);
    if (entry == nullptr || entry->deleted()) continue;
    const std::string name = entry->full_name();
    const u64 size = entry->record.size;
    const auto lost = [&](u64 leaf, u64 count, const Error&) {
      const u64 offset = std::min(size, leaf * leaf_blocks * block_size);
      add_range(ranges, {name, offset, std::min(size - offset, count * leaf_blocks * block_size), "map"});
    };
    Status status = co_await walk_leaves(maps_, root, &seen_pages, visit, lost);
    if (!status) co_return status.error();
  }

  // Everyone who holds a damaged block, not only the one through whom it was found.
  std::sort(damaged.begin(), damaged.end(), [](const Damaged& a, const Damaged& b) { return a.block < b.block; });
  for (const auto& [entry_id, root_id] : damaged.empty() ? std::vector<std::pair<EntryId, RootId>>{} : roots) {
    for (const Damaged& block : damaged) {
      co_await runtime_.yield();
      if (shown.stop || stopping_) co_return Error{Code::cancelled, "the scrub was ended"};
      const Entry* const entry = catalog_.find(entry_id);
      const Root* const root = maps_.find(root_id);
      if (entry == nullptr || root == nullptr || block.block >= root->size / block_size) continue;
      std::array<BlockAt, 1> at;
      bool known = true;
      while (const Missing missing = maps_.lookup(*root, block.block, at)) {
        Status loaded = co_await maps_.load(*missing);
        if (!loaded) known = false;
        if (!known) break;
      }
      if (known && at[0].name == block.name) {
        add_range(ranges, {entry->full_name(), block.block * block_size, block_size, block.io ? "io" : "checksum"});
      }
    }
  }
  std::stable_sort(ranges.begin(), ranges.end(),
                   [](const DamageRange& a, const DamageRange& b) { return a.volume < b.volume; });
  co_return ranges;
}

}  // namespace brindle
