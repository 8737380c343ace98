#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "format/batch.h"
#include "format/superblock.h"
#include "format/segments.h"
#include "sim/faults.h"

namespace brindle::sim {

namespace {

enum class Kind : u8 { superblock, table, page, data, batch, anything };

/// Bytes of the disk that belong together.
struct Range {
  u64 offset = 0;
  u64 length = 0;
};

/// What the newest durable checkpoint and the log behind it consist of. Most of what else is on a disk nobody will ever read.
class Living {
 public:
  explicit Living(const SimDisk& disk) : disk_(disk) {
    for (const u64 offset : {u64{0}, superblock_b_offset}) {
      const std::vector<std::byte> block = bytes({offset, block_size});
      const auto parsed = parse_superblock(block);
      if (parsed && (!super_ || parsed->generation > super_->generation)) super_ = *parsed;
    }
    if (super_) read_tables();
  }

  std::vector<Range> of(Kind kind) const {
    switch (kind) {
      case Kind::superblock: return {{0, block_size}, {superblock_b_offset, block_size}};
      case Kind::table: return tables_;
      case Kind::page: return slots(SegmentKind::pages);
      case Kind::data: return slots(SegmentKind::data);
      case Kind::batch: return batches();
      case Kind::anything: break;
    }
    std::vector<Range> all;
    for (const auto& [number, block] : disk_.blocks) all.push_back({number * block_size, block_size});
    return all;
  }

 private:
  std::vector<std::byte> bytes(const Range& range) const {
    std::vector<std::byte> out(range.length);
    for (u64 done = 0; done < range.length;) {
      const u64 at = range.offset + done;
      const u64 part = std::min(range.length - done, block_size - at % block_size);
      const auto block = disk_.blocks.find(at / block_size);
      if (block != disk_.blocks.end() && !block->second.empty()) std::memcpy(out.data() + done, block->second.data() + at % block_size, part);
      done += part;
    }
    return out;
  }

  void read_tables() {
    tables_.push_back({super_->root_offset, super_->root_length});
    const auto root = decode_checkpoint_root(bytes(tables_.front()));
    if (!root) return;
    SegmentTable segments(super_->chunk_size);
    for (const Place& piece : root->directory) {
      tables_.push_back({piece.offset, piece.length});
      const std::vector<std::byte> directory = bytes(tables_.back());
      Reader from(directory);
      while (from.left() > 0) {
        const DirectoryEntry entry = decode_directory_entry(from);
        if (!from.ok()) break;
        tables_.push_back({entry.place.offset, entry.place.length});
        const bool good = entry.table == TableId::segments
                              ? segments.load(entry.key, entry.place, bytes(tables_.back())).ok()
                          : entry.table == TableId::changes ? segments.apply(entry.place, bytes(tables_.back())).ok()
                                                            : true;
        if (!good) return;
      }
    }
    for (u64 number : segments.numbers()) segments_.push_back(std::move(segments.entries().at(number).record));
  }

  /// The live slots of whole segments; of packed ones some are moved, which nobody needs here.
  std::vector<Range> slots(SegmentKind kind) const {
    std::vector<Range> out;
    for (const SegmentRecord& segment : segments_) {
      if (segment.kind != kind || segment.packed) continue;
      for (u64 slot = 0; (slot = segment.live.next(slot, segment.live.slots())) < segment.live.slots(); ++slot) {
        out.push_back({segment.pieces.front().offset + slot * slot_size(kind), slot_size(kind)});
      }
    }
    return out;
  }

  /// Headers and records that a replay reads.
  std::vector<Range> batches() const {
    std::vector<Range> out;
    for (const auto& [number, block] : disk_.blocks) {
      u32 magic = 0;
      if (!super_ || block.empty()) continue;
      std::memcpy(&magic, block.data(), sizeof magic);
      if (magic != batch_magic) continue;
      BatchHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      if (header.epoch != super_->epoch || header.number < super_->checkpoint_number) continue;
      out.push_back({number * block_size, sizeof header + header.record_bytes});
    }
    return out;
  }

  const SimDisk& disk_;
  std::optional<Superblock> super_;
  std::vector<Range> tables_;
  std::vector<SegmentRecord> segments_;
};

}  // namespace

void rot(SimDisk& disk, Rng& rng) {
  const Living living(disk);
  // Of tables, pages and batches a bit means most, and much of what they say is not even read.
  static constexpr Kind share[] = {Kind::superblock, Kind::table, Kind::table, Kind::page,  Kind::page,    Kind::page,
                                   Kind::data,       Kind::batch, Kind::batch, Kind::batch, Kind::anything};
  std::vector<Range> ranges = living.of(share[rng.below(std::size(share))]);
  if (ranges.empty()) ranges = living.of(Kind::anything);
  const Range range = ranges[rng.below(ranges.size())];
  // Of most blocks a small part is filled: there.
  std::vector<u64> filled;
  for (u64 at = range.offset; at < range.offset + range.length; ++at) {
    const auto block = disk.blocks.find(at / block_size);
    if (block != disk.blocks.end() && !block->second.empty() && block->second[at % block_size] != std::byte{}) filled.push_back(at);
  }
  if (filled.empty()) return;
  const u64 at = filled[rng.below(filled.size())];
  disk.blocks[at / block_size][at % block_size] ^= std::byte{1} << rng.below(8);
  disk.cached.erase(at / block_size);
}

}  // namespace brindle::sim
