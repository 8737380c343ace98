#include "format/slot_set.h"

#include <gtest/gtest.h>

#include "base/bitmap.h"
#include "base/rng.h"

namespace brindle {
namespace {

void expect_same(const SlotSet& set, const std::vector<u64>& bits) {
  ASSERT_EQ(set.slots(), bits.size() * 64);
  ASSERT_EQ(set.count(), count_set(bits));
  ASSERT_EQ(set.empty(), set.count() == 0);
  ASSERT_EQ(set.bitmap(), bits);
  ASSERT_FALSE(set.has(set.slots()));
}

/// Puts in and takes out, more of the one or of the other, and asks everything.
void play(u64 size, u64 seed) {
  Rng rng(seed);
  SlotSet set(size);
  std::vector<u64> bits(size / 64);
  for (int turn = 0; turn < 24; ++turn) {
    const u64 in_percent = turn % 2 == 0 ? 95 : 5;
    for (u64 i = 0; i < size / 2; ++i) {
      const u64 slot = rng.below(size);
      const bool in = rng.below(100) < in_percent;
      ASSERT_EQ(set.set(slot, in), bit_at(bits, slot) != in);
      set_bit_to(bits, slot, in);
    }
    expect_same(set, bits);
    for (int i = 0; i < 200; ++i) {
      const u64 from = rng.below(size + 1);
      const u64 to = rng.between(from, size);
      ASSERT_EQ(set.count(from, to), count_bits(bits, from, to));
      ASSERT_EQ(set.next(from, to), next_bit(bits, true, from, to));
      ASSERT_EQ(set.next_gap(from, to), next_bit(bits, false, from, to));
      ASSERT_EQ(set.has(from), bit_at(bits, from));
    }
    const SlotSet copy = set;
    expect_same(copy, bits);
    SlotSet moved = SlotSet::of(bits);
    expect_same(moved, bits);
    set = std::move(moved);
    expect_same(set, bits);
  }
}

TEST(SlotSet, SaysWhatABitmapSays) {
  for (u64 seed = 1; seed <= 4; ++seed) {
    play(128, seed);
    play(2048, seed);
  }
  play(slots_a_segment_max, 5);
}

TEST(SlotSet, FewSlotsTakeLittleMemory) {
  SlotSet set(2048);
  EXPECT_EQ(set.bytes(), 0u);
  for (u64 slot = 0; slot < 2048; ++slot) EXPECT_TRUE(set.set(slot, true));
  EXPECT_EQ(set.bytes(), 256u);
  for (u64 slot = 0; slot < 2048; slot += 2) set.set(slot, false);
  EXPECT_EQ(set.bytes(), 256u);
  for (u64 slot = 1; slot < 2048; ++slot) {
    if (slot % 64 != 1) set.set(slot, false);
  }
  EXPECT_EQ(set.count(), 32u);
  EXPECT_LE(set.bytes(), 128u);
  for (u64 slot = 1; slot < 2048; slot += 64) {
    EXPECT_LE(set.bytes(), std::max<u64>(16, 4 * set.count()));
    EXPECT_TRUE(set.set(slot, false));
  }
  EXPECT_EQ(set.bytes(), 0u);
  EXPECT_FALSE(set.set(2048, true)) << "there is no such slot";
}

TEST(SlotSet, OfNoSlotsHasNothing) {
  SlotSet none;
  EXPECT_FALSE(none.has(0));
  EXPECT_FALSE(none.set(0, true));
  EXPECT_EQ(none.next(0, 0), 0u);
  EXPECT_TRUE(none.bitmap().empty());
}

}  // namespace
}  // namespace brindle
