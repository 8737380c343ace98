#include "format/slot_set.h"

#include <algorithm>

#include "base/bitmap.h"
#include "base/check.h"

namespace brindle {

namespace {

constexpr u64 list_part = 16;       // of the slots: then both take the same memory
constexpr u64 list_slots_max = 512; // a change moves what follows
constexpr u64 room_min = 8;

}  // namespace

SlotSet::SlotSet(u64 slots) : slots_(static_cast<u32>(slots)) { CHECK(slots % 64 == 0 && slots <= slots_a_segment_max); }

SlotSet SlotSet::of(const std::vector<u64>& bitmap) {
  SlotSet set(bitmap.size() * 64);
  set.become(bitmap);
  return set;
}

SlotSet::SlotSet(const SlotSet& other)
    : slots_(other.slots_),
      count_(other.count_),
      room_(other.room_),
      turns_at_(other.turns_at_),
      is_bitmap_(other.is_bitmap_) {
  if (!other.content_) return;
  const u64 size = is_bitmap_ ? slots_ / 16 : room_;
  content_ = std::make_unique_for_overwrite<u16[]>(size);
  std::copy_n(other.content_.get(), is_bitmap_ ? size : count_, content_.get());
}

u64 SlotSet::list_max() const { return std::min(slots_ / list_part, list_slots_max); }

u64 SlotSet::below(u64 slot) const {
  const u16* const begin = content_.get();
  return static_cast<u64>(std::lower_bound(begin, begin + count_, slot) - begin);
}

bool SlotSet::list_has(u64 slot) const {
  const u64 at = below(slot);
  return at < count_ && content_[at] == slot;
}

u64 SlotSet::count(u64 from, u64 to) const {
  if (from >= to) return 0;
  if (!is_bitmap_) return below(to) - below(from);
  return count_bits_of([this](u64 at) { return word(at); }, from, to);
}

u64 SlotSet::next(u64 from, u64 to) const {
  if (is_bitmap_) return next_bit_of([this](u64 at) { return word(at); }, true, from, to);
  const u64 at = below(from);
  return at < count_ ? std::min<u64>(content_[at], to) : to;
}

u64 SlotSet::next_gap(u64 from, u64 to) const {
  if (is_bitmap_) return next_bit_of([this](u64 at) { return word(at); }, false, from, to);
  for (u64 at = below(from); from < to && at < count_ && content_[at] == from; ++at) ++from;
  return std::min(from, to);
}

bool SlotSet::set_in_list(u64 slot, bool in) {
  const u64 at = below(slot);
  const bool is_in = at < count_ && content_[at] == slot;
  if (is_in == in) return false;
  if (in && count_ == list_max()) {
    auto bits = bitmap();
    set_bit(bits, slot);
    become(bits);
    return true;
  }
  if (in) {
    if (count_ == room_) give_room(std::max(room_min, u64{room_} * 2));
    std::copy_backward(content_.get() + at, content_.get() + count_, content_.get() + count_ + 1);
    content_[at] = static_cast<u16>(slot);
    ++count_;
    return true;
  }
  std::copy(content_.get() + at + 1, content_.get() + count_, content_.get() + at);
  --count_;
  if (count_ == 0) {
    give_room(0);
  } else if (room_ > room_min && count_ * 2 <= room_) {
    give_room(std::max<u64>(room_min, room_ / 2));
  }
  return true;
}

std::vector<u64> SlotSet::bitmap() const {
  std::vector<u64> bits(slots_ / 64);
  if (!is_bitmap_) {
    for (u64 at = 0; at < count_; ++at) set_bit(bits, content_[at]);
  } else {
    std::memcpy(bits.data(), content_.get(), slots_ / 8);
  }
  return bits;
}

void SlotSet::give_room(u64 room) {
  auto list = room > 0 ? std::make_unique_for_overwrite<u16[]>(room) : nullptr;
  if (count_ > 0) std::copy_n(content_.get(), count_, list.get());
  content_ = std::move(list);
  room_ = static_cast<u16>(room);
}

/// What is set in `bits`, as a list where it is short enough.
void SlotSet::become(const std::vector<u64>& bits) {
  const u64 count = count_set(bits);
  is_bitmap_ = count > list_max();
  turns_at_ = static_cast<u16>(list_max() / 2);
  content_.reset();
  room_ = 0;
  count_ = 0;
  if (is_bitmap_) {
    content_ = std::make_unique_for_overwrite<u16[]>(slots_ / 16);
    std::memcpy(content_.get(), bits.data(), slots_ / 8);
    count_ = static_cast<u32>(count);
    return;
  }
  if (count == 0) return;
  give_room(std::max(room_min, count));
  for (u64 slot = 0; (slot = next_bit(bits, true, slot, slots_)) < slots_; ++slot)
    content_[count_++] = static_cast<u16>(slot);
}

}  // namespace brindle
