// space_table.cc: what a checkpoint tells of the segments: those that changed since the last one, or a bucket of them as a whole.
#include <algorithm>
#include <utility>

#include "base/bitmap.h"
#include "pool/space.h"

namespace brindle {

namespace {

// More runs of touched slots than this part of all, and the bitmap is told instead.
constexpr u64 touched_part = 64;

/// Is it in the segment table? A log segment without live slots is found again by replay, if it is needed at all.
bool is_listed(const Segment& segment) {
  return !segment.retired && (segment.record.kind == SegmentKind::pages || !segment.record.live.empty());
}

/// The touched slots by what they are now.
void sort_out(std::vector<SlotRun> touched, const SlotSet& live, SegmentChange& change) {
  std::sort(touched.begin(), touched.end(), [](const SlotRun& a, const SlotRun& b) { return a.first < b.first; });
  u64 slot = 0;
  for (const SlotRun& run : touched) {
    const u64 end = u64{run.first} + run.count;
    for (slot = std::max<u64>(slot, run.first); slot < end; ++slot) {
      std::vector<SlotRun>& runs = live.has(slot) ? change.live : change.dead;
      if (!runs.empty() && u64{runs.back().first} + runs.back().count == slot) {
        ++runs.back().count;
      } else {
        runs.push_back({static_cast<u32>(slot), 1});
      }
    }
  }
}

}  // namespace

void Space::changed(Segment& segment) {
  if (std::exchange(segment.changed, true)) return;
  changed_[segment.record.number / segments_a_bucket].push_back(segment.record.number);
}

void Space::touched(Segment& segment, SlotRun run) {
  if (segment.in_table != InTable::here) return;
  std::vector<SlotRun>& runs = segment.touched;
  if (!runs.empty() && runs.back().first + runs.back().count == run.first) {
    runs.back().count += run.count;  // what is given is mostly given in order
    return;
  }
  runs.push_back(run);
  // A long list says little less than the bitmap, and has to be sorted.
  if (runs.size() > segment_slots(segment.record.kind, chunk_size_) / touched_part) segment.lies_elsewhere();
}

/// False: there is nothing to tell.
bool Space::tell_change(Segment& segment, Changes& changes) const {
  segment.changed = false;
  const bool listed = is_listed(segment);
  const InTable before = std::exchange(segment.in_table, listed ? InTable::here : InTable::no);
  std::vector<SlotRun> touched = std::exchange(segment.touched, {});
  if (listed && before != InTable::here) {
    encode_whole(changes.bytes, segment.record, changes.last);
    return true;
  }
  if (listed ? touched.empty() : before == InTable::no) return false;
  SegmentChange change;
  change.number = segment.record.number;
  if (listed) {
    change.kind = SegmentChange::Kind::slots;
    sort_out(std::move(touched), segment.record.live, change);
  }
  encode_change(changes.bytes, change, changes.last);
  return true;
}

bool Space::tell_changes(Changes& changes, u64 segments) {
  if (!std::exchange(changes.begun, true)) changes.left = std::exchange(changed_, {});
  for (u64 told = 0; told < segments && !changes.left.empty();) {
    const auto bucket = changes.left.begin();
    std::sort(bucket->second.begin(), bucket->second.end());
    for (u64 number : bucket->second) {
      ++told;
      if (!tell_change(*segments_.at(number), changes)) continue;
      changes.last = number;
      if (changes.buckets.empty() || changes.buckets.back() != bucket->first) changes.buckets.push_back(bucket->first);
    }
    changes.left.erase(bucket);
  }
  return !changes.left.empty();
}

std::vector<std::byte> Space::encode_bucket(u64 key) const {
  Writer to;
  for (u64 number = key * segments_a_bucket; number < (key + 1) * segments_a_bucket; ++number) {
    const Segment* const segment = find(number);
    if (segment != nullptr && is_listed(*segment)) encode_segment(to, segment->record);
  }
  return to.take();
}

Status Space::load(SegmentTable& table) {
  for (u64 number : table.numbers()) {
    SegmentRecord& record = table.entries().at(number).record;
    for (const SegmentPiece& piece : record.pieces) {
      const u64 chunk = chunk_of(piece.offset);
      if (chunk >= uses_.size()) return Error{Code::corrupt, "a segment lies beyond the end of the pool"};
      mark_used(chunk, ChunkUse::segments);
    }
    const SegmentKind kind = record.kind;
    Segment& segment = add_segment(std::move(record), false);
    segment.in_table = InTable::here;
    segment.changed = false;  // loading is no change
    (kind == SegmentKind::data ? live_blocks_ : live_page_slots_) += segment.record.live.count();
  }
  changed_.clear();
  return {};
}

}  // namespace brindle
