#include "check/segment_map.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/bitmap.h"

namespace brindle {

SegmentMap::SegmentMap(u64 chunk_size, u64 device_size, u64 segment_limit, Findings& findings)
    : chunk_size_(chunk_size),
      device_size_(device_size),
      segment_limit_(segment_limit),
      findings_(findings),
      uses_(div_up(device_size, chunk_size)),
      claimed_(div_up(device_size / block_size, 64)) {}

void SegmentMap::claim_table(const Place& place) {
  if (place.length == 0) return;
  const u64 chunk = place.offset / chunk_size_;
  const bool outside = chunk == 0 || place.offset >= device_size_ || place.length > device_size_ - place.offset;
  if (outside || (place.offset + place.length - 1) / chunk_size_ != chunk) {
    findings_.pool("table", place.offset, place.length, "a table does not lie in one chunk of the pool");
    return;
  }
  uses_[chunk] = Use::tables;
}

bool SegmentMap::claim(u64 offset, u64 length) {
  if (offset >= device_size_ || length > device_size_ - offset) return false;
  const u64 chunk = offset / chunk_size_;
  if (chunk == 0 || uses_[chunk] == Use::tables) return false;
  uses_[chunk] = Use::segments;
  bool free = true;
  for (u64 block = offset / block_size; block < (offset + length) / block_size; ++block) {
    free = free && !bit_at(claimed_, block);
    set_bit(claimed_, block);
  }
  return free;
}

void SegmentMap::load(SegmentTable& table) {
  for (u64 number : table.numbers()) {
    SegmentTable::Entry& entry = table.entries().at(number);
    add(std::move(entry.record), entry.place);
  }
}

bool SegmentMap::add(SegmentRecord record, const Place& place) {
  const u64 number = record.number;
  const auto wrong = [&](std::string_view what) {
    findings_.pool("table", place.offset, place.length, fmt::format("segment {}: {}", number, what));
    return false;
  };
  if (number >= segment_limit_) return wrong("its number was never given");
  if (!pieces_are_sane(record)) return wrong("its pieces do not lie in the pool's chunks");
  auto segment = std::make_unique<CheckedSegment>();
  segment->record = std::move(record);
  SegmentRecord& own = segment->record;
  if (own.packed) {
    const auto live = own.live.bitmap();
    const auto present = own.present.bitmap();
    for (size_t i = 0; i < live.size(); ++i) {
      if ((live[i] & ~present[i]) != 0) return wrong("slots are live that it does not have");
    }
  }
  if (own.kind == SegmentKind::data && own.live.empty()) return wrong("nothing lives in it");
  if (own.kind == SegmentKind::data && own.live.has(0)) return wrong("its header is marked live");
  if (!claim_slots(*segment)) return wrong("it does not lie in the pool, or shares its place with another");
  if (!own.live.empty()) segment->reached.resize(own.live.slots() / 64);
  (own.kind == SegmentKind::data ? live_data_bytes_ : live_page_bytes_) += own.live.count() * slot_size(own.kind);
  segments_[number] = std::move(segment);
  return true;
}

bool SegmentMap::pieces_are_sane(const SegmentRecord& record) const {
  const u64 align = slot_size(record.kind);
  return std::all_of(record.pieces.begin(), record.pieces.end(), [&](const SegmentPiece& piece) {
    return piece.offset >= chunk_size_ && piece.offset < device_size_ && piece.offset % align == 0;
  });
}

/// Takes the blocks of all slots that live in the segment: where one is dead another segment may have been put.
bool SegmentMap::claim_slots(const CheckedSegment& segment) {
  const SegmentRecord& record = segment.record;
  const SlotSet& own = record.live;
  const u64 slots = own.slots();
  u64 last = 0;  // the block that this segment took last: slots of pages share one
  for (u64 slot = 0; (slot = own.next(slot, slots)) < slots; ++slot) {
    const auto at = locate(segment, slot, nullptr);
    if (!at) return false;
    const u64 block = round_down(*at, block_size);
    if (block == last) continue;
    if (!claim(block, block_size)) return false;
    last = block;
  }
  // A segment in which nothing lives yet has its chunk all the same.
  const u64 chunk = record.pieces.front().offset / chunk_size_;
  if (uses_[chunk] == Use::tables) return false;
  uses_[chunk] = Use::segments;
  return true;
}

CheckedSegment* SegmentMap::find(u64 number) {
  const auto at = segments_.find(number);
  return at == segments_.end() ? nullptr : at->second.get();
}

std::optional<u64> SegmentMap::locate(const CheckedSegment& segment, u64 slot, u64* run) const {
  const SegmentRecord& record = segment.record;
  const u64 slots = segment_slots(record.kind, chunk_size_);
  const u64 size = slot_size(record.kind);
  if (slot >= slots) return std::nullopt;
  u64 first = 0;
  u64 end = slots;
  u64 rank = slot;
  u64 base = record.pieces.front().offset;
  if (record.packed) {
    if (!record.present.has(slot)) return std::nullopt;
    const auto next = std::upper_bound(record.pieces.begin(), record.pieces.end(), slot,
                                       [](u64 at, const SegmentPiece& piece) { return at < piece.first_slot; });
    if (next == record.pieces.begin()) return std::nullopt;
    if (next != record.pieces.end()) end = next->first_slot;
    const SegmentPiece& piece = *std::prev(next);
    first = piece.first_slot;
    base = piece.offset;
    rank = record.present.count(first, slot);
  }
  const u64 at = base + rank * size;
  const u64 limit = std::min(round_down(base, chunk_size_) + chunk_size_, device_size_);
  if (at + size > limit) return std::nullopt;
  if (run != nullptr) {
    u64 next = slot + 1;
    while (next < end && at + (next - slot + 1) * size <= limit && next - slot < page_length_max / page_slot_size &&
           (!record.packed || record.present.has(next))) {
      ++next;
    }
    *run = next - slot;
  }
  return at;
}

std::optional<u64> SegmentMap::locate(SlotName name, SegmentKind kind, u64* run) {
  const CheckedSegment* const segment = find(name.segment());
  if (segment == nullptr || segment->record.kind != kind) return std::nullopt;
  return locate(*segment, name.slot(), run);
}

bool SegmentMap::is_live(SlotName name) {
  const CheckedSegment* const segment = find(name.segment());
  return segment != nullptr && segment->record.live.has(name.slot());
}

bool SegmentMap::reach(SlotName name) {
  CheckedSegment* const segment = find(name.segment());
  if (segment == nullptr) return true;
  const u64 slots = segment_slots(segment->record.kind, chunk_size_);
  if (name.slot() >= slots) return true;
  if (segment->reached.empty()) segment->reached.resize(div_up(slots, 64));
  if (bit_at(segment->reached, name.slot())) return false;
  set_bit(segment->reached, name.slot());
  return true;
}

void SegmentMap::forget_reached() {
  for (auto& [number, segment] : segments_) std::fill(segment->reached.begin(), segment->reached.end(), 0);
}

void SegmentMap::report_leaks() {
  for (const auto& [number, segment] : segments_) {
    const SegmentRecord& record = segment->record;
    const u64 slots = record.live.slots();
    for (u64 slot = 0; (slot = record.live.next(slot, slots)) < slots; ++slot) {
      if (bit_at(segment->reached, slot)) continue;
      const auto at = locate(*segment, slot, nullptr);
      findings_.pool("space", at.value_or(0), slot_size(record.kind),
                     fmt::format("segment {}: marked live, and nothing names it", number));
    }
  }
}

}  // namespace brindle
