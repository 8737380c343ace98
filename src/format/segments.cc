#include "format/segments.h"

#include <algorithm>

namespace brindle {

namespace {

constexpr u8 flag_packed = 1;
constexpr u8 flag_live = 2;
constexpr u8 flag_all_live = 4;
constexpr u8 segment_flags = flag_packed | flag_live | flag_all_live;
// A run of slots in a change: the gap from the end of the run before it, and two bits.
constexpr u64 run_of_many = 1;
constexpr u64 run_is_live = 2;
constexpr unsigned run_bits = 2;
constexpr unsigned kind_bits = 2;

u64 bitmap_words(u64 bits) { return div_up(bits, 64); }

/// The segment has all these slots.
bool has_slots(const SlotSet& slots, const std::vector<SlotRun>& runs) {
  return runs.empty() || u64{runs.back().first} + runs.back().count <= slots.slots();
}

void set_runs(SlotSet& slots, const std::vector<SlotRun>& runs, bool in) {
  for (const SlotRun& run : runs) {
    for (u64 slot = run.first; slot < u64{run.first} + run.count; ++slot) slots.set(slot, in);
  }
}

void put_change_head(Writer& to, u64 number, SegmentChange::Kind kind, u64 last) {
  to.put_varint((number - last) << kind_bits | static_cast<u64>(kind));
}

void encode_runs(Writer& to, const SegmentChange& change) {
  to.put_varint(change.live.size() + change.dead.size());
  auto live = change.live.begin();
  auto dead = change.dead.begin();
  for (u64 end = 0; live != change.live.end() || dead != change.dead.end();) {
    const bool is_live = dead == change.dead.end() || (live != change.live.end() && live->first < dead->first);
    const SlotRun run = is_live ? *live++ : *dead++;
    to.put_varint((run.first - end) << run_bits | (is_live ? run_is_live : 0) | (run.count > 1 ? run_of_many : 0));
    if (run.count > 1) to.put_varint(run.count - 2);
    end = u64{run.first} + run.count;
  }
}

/// Nothing is known of the segment's kind here: whoever applies the change sees whether the slots are there.
void decode_runs(Reader& from, SegmentChange& change, u64 slots_max) {
  const u64 count = from.get_varint();
  if (count == 0 || count > slots_max) from.fail();
  u64 end = 0;
  for (u64 i = 0; i < count && from.ok(); ++i) {
    const u64 told = from.get_varint();
    const u64 gap = told >> run_bits;
    const u64 more = (told & run_of_many) != 0 ? from.get_varint() : 0;
    const u64 length = (told & run_of_many) != 0 ? more + 2 : 1;
    if (gap >= slots_max - end || more >= slots_max || length > slots_max - end - gap) {
      from.fail();
      break;
    }
    const SlotRun run{static_cast<u32>(end + gap), static_cast<u32>(length)};
    ((told & run_is_live) != 0 ? change.live : change.dead).push_back(run);
    end = u64{run.first} + run.count;
  }
}

}  // namespace

void encode_segment(Writer& to, const SegmentRecord& segment) {
  const bool all = !segment.live.empty() && segment.live.count() == segment.live.slots();
  u8 flags = segment.packed ? flag_packed : 0;
  if (all) {
    flags |= flag_all_live;
  } else if (!segment.live.empty()) {
    flags |= flag_live;
  }
  to.put(segment.number);
  to.put(static_cast<u8>(segment.kind));
  to.put(flags);
  to.put_varint(segment.pieces.size());
  for (const SegmentPiece& piece : segment.pieces) {
    to.put_varint(piece.first_slot);
    to.put(piece.offset);
  }
  if ((flags & flag_live) != 0) to.put_words(segment.live.bitmap());
  if (segment.packed) to.put_words(segment.present.bitmap());
}

SegmentRecord decode_segment(Reader& from, u64 chunk_size) {
  SegmentRecord segment;
  segment.number = from.get<u64>();
  const auto kind = from.get<u8>();
  const auto flags = from.get<u8>();
  segment.kind = static_cast<SegmentKind>(kind);
  segment.packed = (flags & flag_packed) != 0;
  const bool both = (flags & flag_live) != 0 && (flags & flag_all_live) != 0;
  const bool known = kind <= 1 && (flags & ~segment_flags) == 0 && !both;
  if (!known || segment.number == 0 || segment.number > segment_number_max) from.fail();
  const u64 slots = known ? segment_slots(segment.kind, chunk_size) : 0;
  // A whole segment is one piece from slot 0 on; the pieces of a packed one go upward.
  const u64 pieces = from.get_varint();
  if (pieces == 0 || pieces > (segment.packed ? slots : 1)) from.fail();
  for (u64 i = 0; i < pieces && from.ok(); ++i) {
    const u64 first_slot = from.get_varint();
    const bool upward = i == 0 ? segment.packed || first_slot == 0 : first_slot > segment.pieces.back().first_slot;
    if (first_slot >= slots || !upward) from.fail();
    segment.pieces.push_back({static_cast<u32>(first_slot), from.get<u64>()});
  }
  if ((flags & flag_live) != 0 && from.ok()) segment.live = SlotSet::of(from.get_words(bitmap_words(slots)));
  if (segment.packed && from.ok()) segment.present = SlotSet::of(from.get_words(bitmap_words(slots)));
  if (!from.ok()) return {};
  if ((flags & flag_all_live) != 0) segment.live = SlotSet::of(std::vector<u64>(bitmap_words(slots), ~u64{0}));
  return segment;
}

void encode_change(Writer& to, const SegmentChange& change, u64 last) {
  put_change_head(to, change.number, change.kind, last);
  if (change.kind == SegmentChange::Kind::whole) encode_segment(to, change.record);
  if (change.kind == SegmentChange::Kind::slots) encode_runs(to, change);
}

void encode_whole(Writer& to, const SegmentRecord& record, u64 last) {
  put_change_head(to, record.number, SegmentChange::Kind::whole, last);
  encode_segment(to, record);
}

SegmentChange decode_change(Reader& from, u64 last, u64 chunk_size) {
  SegmentChange change;
  const u64 told = from.get_varint();
  const u64 kind = told & ((1u << kind_bits) - 1);
  const u64 gap = told >> kind_bits;
  if (kind > static_cast<u64>(SegmentChange::Kind::slots) || gap == 0 || gap > segment_number_max - last) from.fail();
  if (!from.ok()) return {};
  change.number = last + gap;
  change.kind = static_cast<SegmentChange::Kind>(kind);
  if (change.kind == SegmentChange::Kind::whole) {
    change.record = decode_segment(from, chunk_size);
    if (change.record.number != change.number) from.fail();
  } else if (change.kind == SegmentChange::Kind::slots) {
    decode_runs(from, change, segment_slots(SegmentKind::pages, chunk_size));
  }
  if (!from.ok()) return {};
  return change;
}

Status SegmentTable::load(u64 key, const Place& place, Bytes bucket) {
  Reader from(bucket);
  while (from.left() > 0) {
    SegmentRecord record = decode_segment(from, chunk_size_);
    const u64 number = record.number;
    if (number == 0) return Error{Code::corrupt, "the segment table makes no sense"};
    if (number / segments_a_bucket != key) return Error{Code::corrupt, "a segment stands in the wrong bucket"};
    if (!entries_.try_emplace(number, Entry{std::move(record), place}).second) {
      return Error{Code::corrupt, "a segment stands twice in the segment table"};
    }
  }
  return {};
}

Result<std::set<u64>> SegmentTable::apply(const Place& place, Bytes changes) {
  std::set<u64> keys;
  Reader from(changes);
  for (u64 last = 0; from.left() > 0;) {
    SegmentChange change = decode_change(from, last, chunk_size_);
    if (change.number == 0) return Error{Code::corrupt, "the changes of the segment table make no sense"};
    last = change.number;
    keys.insert(keys.end(), change.number / segments_a_bucket);
    const auto at = entries_.find(change.number);
    if (change.kind == SegmentChange::Kind::slots) {
      if (at == entries_.end()) {
        unknown_.insert(change.number);
        continue;
      }
      SegmentRecord& record = at->second.record;
      if (record.live.slots() == 0) record.live = SlotSet(segment_slots(record.kind, chunk_size_));
      if (!has_slots(record.live, change.live) || !has_slots(record.live, change.dead)) {
        return Error{Code::corrupt, "a slot changed that its segment does not have"};
      }
      set_runs(record.live, change.live, true);
      set_runs(record.live, change.dead, false);
      continue;
    }
    unknown_.erase(change.number);
    if (change.kind == SegmentChange::Kind::whole) {
      entries_[change.number] = {std::move(change.record), place};
    } else if (at != entries_.end()) {
      entries_.erase(at);
    }
  }
  return keys;
}

Status SegmentTable::complete() const {
  if (unknown_.empty()) return {};
  return Error{Code::corrupt, "a segment changed that is not in the segment table"};
}

std::vector<u64> SegmentTable::numbers() const {
  std::vector<u64> numbers;
  for (const auto& [number, entry] : entries_) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace brindle
