// slot_set.h: some of a segment's slots: those that live, or those that a packed segment has.
//
//   list     16 bits for each slot, rising         of few: long after a segment was written hardly any of it lives
//   gaps     16 bits for each slot that is not in   of nearly all: what lives in a segment at first
//   bitmap   a bit for each slot there is           of anything else
//
// Holds:  1. All three say the same. On disk a set is always a bitmap.
//         2. It turns from one into the other by itself; a bitmap stays one until a list would take half of its memory.
//         3. An empty one has no memory of its own, and one with all slots neither.
#pragma once

#include <algorithm>
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
  u64 count() const { return form_ == Form::gaps ? slots_ - count_ : count_; }
  bool empty() const { return count() == 0; }
  /// What lies behind the last slot is not in it.
  bool has(u64 slot) const {
    if (slot >= slots_) return false;
    return form_ == Form::bitmap ? (word(slot / 64) >> (slot % 64) & 1) != 0 : list_has(slot) != (form_ == Form::gaps);
  }
  /// How many of [from, to) are in it.
  u64 count(u64 from, u64 to) const;
  /// The first of [from, to) that is in it; `to` where there is none.
  u64 next(u64 from, u64 to) const { return next_that(true, from, to); }
  /// The first of [from, to) that is not in it; `to` where there is none.
  u64 next_gap(u64 from, u64 to) const { return next_that(false, from, to); }
  /// Puts a slot in, or takes it out. False: there is no such slot, or it was so before.
  bool set(u64 slot, bool in) {
    if (slot >= slots_) return false;
    if (form_ != Form::bitmap) return list(slot, in != (form_ == Form::gaps));
    const u64 bits = word(slot / 64);
    const u64 bit = u64{1} << (slot % 64);
    if (((bits & bit) != 0) == in) return false;
    put_word(slot / 64, bits ^ bit);
    count_ += in ? 1 : static_cast<u32>(-1);
    if (std::min(count_, slots_ - count_) <= turns_at_) become(bitmap());
    return true;
  }
  std::vector<u64> bitmap() const;
  /// What it takes in memory beside itself.
  u64 bytes() const { return form_ == Form::bitmap ? slots_ / 8 : room_ * sizeof(u16); }

 private:
  enum class Form : u8 { list, gaps, bitmap };

  void swap(SlotSet& other) noexcept {
    std::swap(content_, other.content_);
    std::swap(slots_, other.slots_);
    std::swap(count_, other.count_);
    std::swap(room_, other.room_);
    std::swap(form_, other.form_);
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
  void put_word(u64 at, u64 bits) { std::memcpy(content_.get() + at * (sizeof bits / sizeof(u16)), &bits, sizeof bits); }
  u64 next_that(bool is_in, u64 from, u64 to) const;
  bool list_has(u64 slot) const;
  bool list(u64 slot, bool in);
  void give_room(u64 room);
  void become(const std::vector<u64>& bitmap);

  std::unique_ptr<u16[]> content_;  // the list, with room at its end, or the words of the bitmap
  u32 slots_ = 0;
  u32 count_ = 0;     // of what is listed, or set
  u16 room_ = 0;      // of a list, in slots
  u16 turns_at_ = 0;  // a bitmap of so few slots, or gaps, becomes a list
  Form form_ = Form::list;
};
static_assert(slots_a_segment_max <= u64{1} << 16);

}  // namespace brindle
