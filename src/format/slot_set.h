// slot_set.h: some of a segment's slots: those that live, or those that a packed segment has.
//
//   list     16 bits for each slot, rising   of few slots: long after a segment was written hardly any of it lives
//   bitmap   a bit for each slot there is    of more than a sixteenth of them
//
// Holds:  1. Both say the same. On disk a set is always a bitmap.
//         2. It turns from one into the other by itself; one that shrinks stays a bitmap until it is half as large as the longest list.
//         3. An empty one has no memory of its own.
#pragma once

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/units.h"
#include "format/name.h"

namespace brindle {

class SlotSet {
 public:
  /// Of a segment with no slots.
  SlotSet() = default;
  /// None of so many slots.
  explicit SlotSet(u64 slots);
  /// Those whose bits are set.
  static SlotSet of(const std::vector<u64>& bitmap);
  SlotSet(const SlotSet& other);
  SlotSet(SlotSet&& other) noexcept { swap(other); }
  SlotSet& operator=(SlotSet other) noexcept {
    swap(other);
    return *this;
  }
  ~SlotSet() = default;

  /// How many slots the segment has.
  u64 slots() const { return slots_; }
  /// How many of them are in the set.
  u64 count() const { return count_; }
  bool empty() const { return count_ == 0; }
  /// What lies behind the last slot is not in it.
  bool has(u64 slot) const {
    if (slot >= slots_) return false;
    return is_bitmap_ ? (word(slot / 64) >> (slot % 64) & 1) != 0 : list_has(slot);
  }
  /// How many of [from, to) are in it.
  u64 count(u64 from, u64 to) const;
  /// The first of [from, to) that is in it; `to` where there is none.
  u64 next(u64 from, u64 to) const;
  /// The first of [from, to) that is not in it; `to` where there is none.
  u64 next_gap(u64 from, u64 to) const;
  /// Puts a slot in, or takes it out. False: there is no such slot, or it was so before.
  bool set(u64 slot, bool in) {
    if (slot >= slots_) return false;
    if (!is_bitmap_) return set_in_list(slot, in);
    const u64 bits = word(slot / 64);
    const u64 bit = u64{1} << (slot % 64);
    if (((bits & bit) != 0) == in) return false;
    put_word(slot / 64, bits ^ bit);
    count_ += in ? 1 : static_cast<u32>(-1);
    if (count_ <= turns_at_) become(bitmap());
    return true;
  }
  std::vector<u64> bitmap() const;
  /// What it takes in memory beside itself.
  u64 bytes() const { return is_bitmap_ ? slots_ / 8 : room_ * sizeof(u16); }

 private:
  void swap(SlotSet& other) noexcept {
    std::swap(content_, other.content_);
    std::swap(slots_, other.slots_);
    std::swap(count_, other.count_);
    std::swap(room_, other.room_);
    std::swap(is_bitmap_, other.is_bitmap_);
    std::swap(turns_at_, other.turns_at_);
  }
  u64 list_max() const;
  /// How many of the list are below the slot.
  u64 below(u64 slot) const;
  u64 word(u64 at) const {
    u64 bits = 0;
    std::memcpy(&bits, content_.get() + at * (sizeof bits / sizeof(u16)), sizeof bits);
    return bits;
  }
  void put_word(u64 at, u64 bits) {
    std::memcpy(content_.get() + at * (sizeof bits / sizeof(u16)), &bits, sizeof bits);
  }
  bool list_has(u64 slot) const;
  bool set_in_list(u64 slot, bool in);
  void give_room(u64 room);
  void become(const std::vector<u64>& bitmap);

  std::unique_ptr<u16[]> content_;  // the list, with room at its end, or the words of the bitmap
  u32 slots_ = 0;
  u32 count_ = 0;
  u16 room_ = 0;      // of a list, in slots
  u16 turns_at_ = 0;  // a bitmap of so few slots becomes a list
  bool is_bitmap_ = false;
};
static_assert(slots_a_segment_max <= u64{1} << 16);

}  // namespace brindle
