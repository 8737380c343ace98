// space_live.cc: what came to life and what died: noted at once, applied to the segment table by the next seal, let go of once its
// checkpoint is durable and nobody looks any more.
#include <algorithm>
#include <limits>
#include <utility>

#include "base/planted.h"
#include "pool/space.h"

namespace brindle {

void Space::placed(u64 number, u64 batch) {
  Segment* const segment = find(number);
  if (segment == nullptr) return;
  segment->last_batch = std::max(segment->last_batch, batch);
  for (const SegmentPiece& piece : segment->record.pieces) {
    u64& last = last_batch_in_[chunk_of(piece.offset)];
    last = std::max(last, batch);
  }
}

void Space::allocated(SlotName first, u64 count, u64 batch) {
  placed(first.segment(), batch);
  if (count == 0) return;
  names_.allocated.push_back({first, count});
  live_blocks_ += count;
}

void Space::free_block(SlotName name) {
  names_.freed_blocks.push_back(name);
  CHECK(live_blocks_ > 0);
  --live_blocks_;
  pending_bytes_ += block_size;
}

void Space::free_page(const PageRef& page) {
  names_.freed_pages.push_back(page);
  CHECK(live_page_slots_ >= page.slots());
  live_page_slots_ -= page.slots();
  pending_bytes_ += page.slots() * page_slot_size;
}

void Space::placed_page(const PageRef& page) {
  Segment* segment = find(page.name.segment());
  CHECK(segment != nullptr);
  set_live(*segment, page.name.slot(), page.slots(), true);
  live_page_slots_ += page.slots();
}

void Space::set_live(Segment& segment, u32 slot, u64 count, bool live) {
  SegmentRecord& record = segment.record;
  size_t piece = segment.piece_of(slot);
  memory_bytes_ -= record.live.bytes();
  for (u64 at = slot; at < slot + count; ++at) {
    const bool was_other = record.live.set(at, live);
    CHECK_NOTE(was_other, live ? "a slot given twice" : "a slot freed twice");
    if (piece + 1 < record.pieces.size() && record.pieces[piece + 1].first_slot == at) ++piece;
    u64& bytes = segment_live_[chunk_of(record.pieces[piece].offset)];
    bytes = live ? bytes + slot_size(record.kind) : bytes - slot_size(record.kind);
  }
  memory_bytes_ += record.live.bytes();
  if (record.live.empty() && !live) closed_.insert(record.number);
  touched(segment, {slot, static_cast<u32>(count)});
  changed(segment);
}

void Space::seal(u64 number) {
  apply_sealed(std::numeric_limits<u64>::max());
  releases_.seal();
  sealed_ = true;
  moved_ = false;
  sealed_number_ = number;
  sealed_names_ = std::exchange(names_, {});
  applied_ = 0;
  applying_ = true;
  releasing_.insert(releasing_.end(), emptied_.begin(), emptied_.end());
  emptied_.clear();
  releasing_bytes_ = pending_bytes_;
  pending_bytes_ = 0;
}

/// Applies about `left` of the names, of which each item is so many, and counts them off; the list is gone once all are.
template <class List, class Count, class Apply>
void Space::apply_some(List& names, u64& left, Count count, Apply apply) {
  if (left == 0 || names.empty()) return;  // a list before this one is not done, or this one is
  for (; left > 0 && applied_ < names.size(); ++applied_) {
    left -= std::min<u64>(left, count(names[applied_]));
    apply(names[applied_]);
  }
  if (applied_ < names.size()) return;
  names = List();
  applied_ = 0;
}

bool Space::apply_sealed(u64 names) {
  if (!applying_) return false;
  // What compaction has emptied since the seal is not for this checkpoint to let go of.
  const std::vector<u64> emptied = std::exchange(emptied_, {});
  u64 left = names;
  const auto blocks = [](const Range& range) { return range.count; };
  const auto one = [](const auto&) { return u64{1}; };
  apply_some(sealed_names_.allocated, left, blocks, [this](const Range& range) {
    Segment* segment = find(range.first.segment());
    CHECK(segment != nullptr);
    set_live(*segment, range.first.slot(), range.count, true);
  });
  apply_some(sealed_names_.freed_blocks, left, one, [this](SlotName name) {
    Segment* segment = find(name.segment());
    CHECK_NOTE(segment != nullptr, "a block freed in no segment");
    set_live(*segment, name.slot(), 1, false);
  });
  apply_some(sealed_names_.freed_pages, left, one, [this](const PageRef& page) {
    Segment* segment = find(page.name.segment());
    CHECK_NOTE(segment != nullptr, "a page freed in no segment");
    set_live(*segment, page.name.slot(), page.slots(), false);
  });
  applying_ = left == 0;
  if (!applying_) retire_closed();
  releasing_.insert(releasing_.end(), emptied_.begin(), emptied_.end());
  emptied_ = emptied;
  if (planted(Plant::reuse_at_seal) && !applying_) {
    for (u64 chunk : std::exchange(releasing_, {})) give_back(chunk);
  }
  return applying_;
}

/// Segments in which nothing lives, and that no replay needs, are on their way out.
void Space::retire_closed() {
  for (auto at = closed_.begin(); at != closed_.end();) {
    Segment* segment = find(*at);
    const bool replayed = segment != nullptr && segment->last_batch >= sealed_number_ && !planted(Plant::log_freed);
    const bool needed = segment != nullptr && (segment->open || replayed);
    if (segment != nullptr && !needed && segment->record.live.empty() && !segment->retired) {
      segment->retired = true;
      retiring_.push_back(*at);
      changed(*segment);
      leave_chunks(*segment);
    }
    at = needed ? std::next(at) : closed_.erase(at);
  }
}

void Space::durable() {
  apply_sealed(std::numeric_limits<u64>::max());
  sealed_ = false;
  if (planted(Plant::readers_ignored)) {
    for (u64 chunk : std::exchange(releasing_, {})) give_back(chunk);
  }
  releases_.add({std::exchange(releasing_, {}), std::exchange(retiring_, {})});
  releasing_bytes_ = 0;
  let_go();
}

void Space::leave(u64 generation) {
  releases_.leave(generation);
  let_go();
}

/// Gives again what nobody looks at any more.
void Space::let_go() {
  while (const auto release = releases_.next()) {
    for (u64 number : release->segments) {
      const auto at = segments_.find(number);
      memory_bytes_ -= at->second->memory_bytes();
      segments_.erase(at);
    }
    for (u64 chunk : release->chunks) give_back(chunk);
  }
}

}  // namespace brindle
