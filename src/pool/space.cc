#include "pool/space.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/bitmap.h"
#include "base/planted.h"

namespace brindle {

namespace {

constexpr size_t fetched_ahead = 4;  // segments

}  // namespace

Space::Space(u64 chunk_size) : chunk_size_(chunk_size), chunk_bits_(std::countr_zero(chunk_size)) {
  CHECK(std::has_single_bit(chunk_size));
  load_chunks(1, {});
  mark_used(0, ChunkUse::superblocks);
}

// --- chunks ---------------------------------------------------------------------------------------------------------

void Space::set_capacity(u64 chunks) { capacity_ = std::max<u64>(chunks, uses_.size()); }

void Space::load_chunks(u64 made, const std::vector<u64>& punched) {
  punched_ = punched;
  punched_.resize(std::max<u64>(punched_.size(), div_up(made, 64)));
  for (u64 chunk = uses_.size(); chunk < made; ++chunk) {
    uses_.push_back(ChunkUse::free);
    residents_.emplace_back();
    open_in_.push_back(0);
    last_batch_in_.push_back(0);
    segment_live_.push_back(0);
    table_live_.push_back(0);
    (bit_at(punched_, chunk) ? free_punched_ : free_written_).insert(chunk);
  }
  capacity_ = std::max<u64>(capacity_, uses_.size());
}

void Space::mark_used(u64 chunk, ChunkUse use) {
  uses_[chunk] = use;
  free_written_.erase(chunk);
  free_punched_.erase(chunk);
}

std::optional<u64> Space::next_to_fill(u64 from) const {
  const auto punched = free_punched_.lower_bound(from);
  if (punched != free_punched_.end()) return *punched;
  if (from <= uses_.size() && uses_.size() < capacity_) return uses_.size();
  return std::nullopt;
}

void Space::filled(u64 chunk) {
  if (chunk == uses_.size()) load_chunks(chunk + 1, punched_);
  punched_[chunk / 64] &= ~(u64{1} << (chunk % 64));
  if (free_punched_.erase(chunk) > 0) free_written_.insert(chunk);
}

u64 Space::free_chunks() const { return free_written_.size() + free_punched_.size() + capacity_ - uses_.size(); }

std::optional<u64> Space::take_chunk(SpaceLevel level, ChunkUse use) {
  const u64 kept = level == SpaceLevel::write        ? kept_from_writes
                   : level == SpaceLevel::compaction ? kept_from_compaction
                                                     : 0;
  if (free_written_.size() <= (planted(Plant::no_reserve) ? 0 : kept)) return std::nullopt;
  const u64 chunk = *free_written_.begin();
  mark_used(chunk, use);
  return chunk;
}

void Space::give_back(u64 chunk) {
  uses_[chunk] = ChunkUse::free;
  last_batch_in_[chunk] = 0;
  free_written_.insert(chunk);
}

std::vector<u64> Space::punchable(u64 keep) const {
  // The lowest are taken first, so the highest are the longest unused.
  std::vector<u64> chunks;
  u64 left = free_written_.size();
  for (auto at = free_written_.rbegin(); at != free_written_.rend() && left > keep; ++at, --left) chunks.push_back(*at);
  return chunks;
}

bool Space::punched(u64 chunk) {
  if (free_written_.erase(chunk) == 0) return false;
  free_punched_.insert(chunk);
  punched_[chunk / 64] |= u64{1} << (chunk % 64);
  return true;
}

void Space::settle_chunk(u64 chunk) {
  const bool settled = uses_[chunk] == ChunkUse::segments || uses_[chunk] == ChunkUse::tables;
  if (!settled || !residents_[chunk].empty() || table_live_[chunk] > 0) return;
  if (planted(Plant::reuse_at_once)) {
    give_back(chunk);
    return;
  }
  uses_[chunk] = ChunkUse::releasing;
  emptied_.push_back(chunk);
}

// --- segments -------------------------------------------------------------------------------------------------------

void Space::enter_chunk(Segment& segment, u64 chunk) {
  residents_[chunk].push_back(&segment);
  open_in_[chunk] += segment.open ? 1 : 0;
  last_batch_in_[chunk] = std::max(last_batch_in_[chunk], segment.last_batch);
}

void Space::leave_chunk(Segment& segment, u64 chunk) {
  std::erase(residents_[chunk], &segment);
  open_in_[chunk] -= segment.open ? 1 : 0;
  settle_chunk(chunk);
}

/// The segment is found in the chunks of its pieces from now on, and what lives in it counts there.
void Space::settle_in(Segment& segment) {
  for (const auto& [chunk, live] : by_chunk(segment.record)) {
    enter_chunk(segment, chunk);
    segment_live_[chunk] += live;
  }
  pieces_ += segment.record.pieces.size();
  segment.base = segment.record.pieces.front().offset;
}

/// The reverse: a chunk in which nothing is left is empty.
void Space::leave_chunks(Segment& segment) {
  for (const auto& [chunk, live] : by_chunk(segment.record)) {
    leave_chunk(segment, chunk);
    segment_live_[chunk] -= live;
  }
  pieces_ -= segment.record.pieces.size();
}

/// The segment had these pieces before. A piece that stayed counts as it did: there may be hundreds of them, and few move at a time.
void Space::resettle(Segment& segment, const std::vector<SegmentPiece>& before) {
  const SegmentRecord& record = segment.record;
  const std::vector<SegmentPiece>& after = record.pieces;
  const u64 slots = segment_slots(record.kind, chunk_size_);
  const auto stayed = [&](size_t was, size_t is) {
    if (before[was] != after[is]) return false;
    // Behind it a piece may be gone in which nothing lives.
    const auto [from, to] = std::minmax({piece_end(before, was, slots), piece_end(after, is, slots)});
    return record.live.count(from, to) == 0;
  };
  const auto live = [&](const std::vector<SegmentPiece>& pieces, size_t at) {
    return record.live.count(pieces[at].first_slot, piece_end(pieces, at, slots)) * slot_size(record.kind);
  };
  std::vector<u64> left;
  std::vector<u64> entered;
  for (size_t was = 0, is = 0; was < before.size() || is < after.size();) {
    if (was < before.size() && is < after.size() && stayed(was, is)) {
      ++was;
      ++is;
    } else if (is == after.size() || (was < before.size() && before[was].first_slot <= after[is].first_slot)) {
      left.push_back(chunk_of(before[was].offset));
      segment_live_[left.back()] -= live(before, was++);
    } else {
      entered.push_back(chunk_of(after[is].offset));
      segment_live_[entered.back()] += live(after, is++);
    }
  }
  const auto each_beside = [this](std::vector<u64>& chunks, const std::vector<SegmentPiece>& pieces, auto what) {
    std::sort(chunks.begin(), chunks.end());
    chunks.erase(std::unique(chunks.begin(), chunks.end()), chunks.end());
    for (u64 chunk : chunks) {
      if (std::none_of(pieces.begin(), pieces.end(),
                       [&](const SegmentPiece& piece) { return chunk_of(piece.offset) == chunk; }))
        what(chunk);
    }
  };
  each_beside(left, after, [&](u64 chunk) { leave_chunk(segment, chunk); });
  each_beside(entered, before, [&](u64 chunk) { enter_chunk(segment, chunk); });
  pieces_ = pieces_ + after.size() - before.size();
  segment.base = after.front().offset;
}

/// The chunks that the segment has a piece in, each once, upward.
std::vector<Space::InChunk> Space::by_chunk(const SegmentRecord& record) const {
  const u64 slots = segment_slots(record.kind, chunk_size_);
  std::vector<InChunk> all;
  for (size_t i = 0; i < record.pieces.size(); ++i) {
    const u64 end = piece_end(record.pieces, i, slots);
    const u64 live = record.live.count(record.pieces[i].first_slot, end);
    all.push_back({chunk_of(record.pieces[i].offset), live * slot_size(record.kind)});
  }
  std::sort(all.begin(), all.end(), [](const InChunk& a, const InChunk& b) { return a.chunk < b.chunk; });
  size_t last = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    if (all[i].chunk == all[last].chunk) {
      all[last].live += all[i].live;
    } else {
      all[++last] = all[i];
    }
  }
  all.resize(std::min(all.size(), last + 1));
  return all;
}

Segment& Space::add_segment(SegmentRecord record, bool open) {
  const u64 number = record.number;
  CHECK_NOTE(segments_.count(number) == 0, "a segment's number given twice");
  auto segment = std::make_unique<Segment>();
  segment->record = std::move(record);
  segment->open = open;
  if (segment->record.live.empty()) segment->record.live = SlotSet(segment_slots(segment->record.kind, chunk_size_));
  settle_in(*segment);
  if (!open && segment->record.live.empty()) closed_.insert(number);
  memory_bytes_ += segment->memory_bytes();
  changed(*segment);
  return *(segments_[number] = std::move(segment));
}

const Segment* Space::find(u64 number) const {
  const auto at = segments_.find(number);
  return at == segments_.end() ? nullptr : at->second.get();
}

Segment* Space::find(u64 number) { return const_cast<Segment*>(std::as_const(*this).find(number)); }

void Space::close_segment(u64 number) {
  Segment* segment = find(number);
  CHECK(segment != nullptr);
  if (std::exchange(segment->open, false)) {
    for (const auto& [chunk, live] : by_chunk(segment->record)) --open_in_[chunk];
  }
  closed_.insert(number);
}

std::optional<u64> Space::locate(SlotName name, u64* run) const {
  const Segment* segment = find(name.segment());
  if (segment == nullptr) return std::nullopt;
  const SegmentRecord& record = segment->record;
  const u64 slot = name.slot();
  const u64 slots = segment_slots(record.kind, chunk_size_);
  if (slot >= slots) return std::nullopt;
  if (!record.packed) {
    if (run != nullptr) *run = slots - slot;
    return segment->base + slot * slot_size(record.kind);
  }
  if (!record.present.has(slot)) return std::nullopt;
  const size_t piece = segment->piece_of(slot);
  const u64 first = record.pieces[piece].first_slot;
  if (slot < first) return std::nullopt;
  if (run != nullptr) {
    const u64 end = piece_end(record.pieces, piece, slots);
    *run = record.present.next_gap(slot, end) - slot;
  }
  return record.pieces[piece].offset + record.present.count(first, slot) * slot_size(record.kind);
}

PieceWalk::PieceWalk(const Segment& segment, size_t piece, u64 slots) : record_(segment.record) {
  const SegmentPiece& begin = record_.pieces[piece];
  slot_ = begin.first_slot;
  offset_ = begin.offset;
  end_ = piece_end(record_.pieces, piece, slots);
}

std::optional<PieceWalk::At> PieceWalk::at(u64 slot) {
  CHECK(slot >= slot_ && slot < end_);
  const u64 between = record_.packed ? record_.present.count(slot_, slot) : slot - slot_;
  offset_ += between * slot_size(record_.kind);
  slot_ = slot;
  if (!record_.packed) return At{offset_, end_ - slot};
  if (!record_.present.has(slot)) return std::nullopt;
  return At{offset_, record_.present.next_gap(slot, end_) - slot};
}

void Space::moved(Segment& segment, std::vector<SegmentPiece> pieces, SlotSet present) {
  moved_ = true;
  memory_bytes_ -= segment.memory_bytes();
  const std::vector<SegmentPiece> before = std::exchange(segment.record.pieces, std::move(pieces));
  segment.record.present = std::move(present);
  segment.record.packed = true;
  resettle(segment, before);
  memory_bytes_ += segment.memory_bytes();
  if (!planted(Plant::move_untold)) segment.lies_elsewhere();
  changed(segment);
  if (planted(Plant::source_freed)) {
    for (u64 chunk : std::exchange(emptied_, {})) give_back(chunk);
  }
}

std::optional<std::vector<u64>> Space::blocks_lived_in(u64 chunk) const {
  std::vector<u64> blocks(div_up(chunk_size_ / block_size, 64));
  const std::vector<Segment*>& residents = residents_[chunk];
  for (size_t next = 0; next < residents.size(); ++next) {
    // They are cold, a hundred of them or so, and each is two lines to wait for.
    if (next + 2 * fetched_ahead < residents.size())
      __builtin_prefetch(&residents[next + 2 * fetched_ahead]->record.pieces);
    if (next + fetched_ahead < residents.size())
      __builtin_prefetch(residents[next + fetched_ahead]->record.pieces.data());
    const Segment* const segment = residents[next];
    const SegmentRecord& record = segment->record;
    if (record.live.empty()) continue;
    const u64 slot_bytes = slot_size(record.kind);
    const u64 slots = segment_slots(record.kind, chunk_size_);
    for (size_t i = 0; i < record.pieces.size(); ++i) {
      if (chunk_of(record.pieces[i].offset) != chunk) continue;
      const u64 end = piece_end(record.pieces, i, slots);
      PieceWalk walk(*segment, i, slots);
      for (u64 slot = record.pieces[i].first_slot; (slot = record.live.next(slot, end)) < end;) {
        const auto at = walk.at(slot);
        if (!at) return std::nullopt;
        const u64 run = std::min(at->slots, record.live.next_gap(slot, end) - slot);
        const u64 last = (at->offset + run * slot_bytes - 1 - chunk_offset(chunk)) / block_size;
        for (u64 block = (at->offset - chunk_offset(chunk)) / block_size; block <= last; ++block) {
          set_bit_to(blocks, block, true);
        }
        slot += run;
      }
    }
  }
  return blocks;
}

// --- tables ---------------------------------------------------------------------------------------------------------

void Space::table_written(const Place& place) {
  table_live_[chunk_of(place.offset)] += place.length;
  table_bytes_ += place.length;
}

void Space::table_dropped(const Place& place) {
  const u64 chunk = chunk_of(place.offset);
  CHECK(table_live_[chunk] >= place.length);
  table_live_[chunk] -= place.length;
  table_bytes_ -= place.length;
}

void Space::close_chunk(u64 chunk) { settle_chunk(chunk); }

void Space::leave_target(u64 chunk) {
  mark_used(chunk, ChunkUse::segments);
  settle_chunk(chunk);
}

}  // namespace brindle
