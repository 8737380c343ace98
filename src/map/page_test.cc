// page_test.cc: a leaf says the same folded, narrow and as it was.
#include "map/page.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace brindle {
namespace {

/// Names of so many runs with so much between the end of one and the next; where `jump`, each in a segment before.
LeafData of_runs(u32 runs, u32 length, u32 holes, u64 gap, bool jump) {
  LeafData data;
  SlotName next = SlotName::of(7000, 1);
  u32 entry = 0;
  for (u32 run = 0; run < runs; ++run) {
    for (u32 i = 0; i < length; ++i, ++entry) {
      data.names[entry] = next;
      data.crcs[entry] = entry * 7 + 1;
      next = next.plus(1);
    }
    entry += holes;
    next = jump ? SlotName::of(7000 - run - 1, 1) : next.plus(gap);
  }
  return data;
}

void expect_same(const Leaf& leaf, const LeafData& data) {
  LeafData copy;
  leaf.copy_to(copy);
  EXPECT_TRUE(copy.names == data.names);
  EXPECT_TRUE(copy.crcs == data.crcs);
  for (u32 entry = 0; entry < leaf_blocks; ++entry) {
    ASSERT_EQ(leaf.at(entry).name, data.names[entry]) << entry;
    ASSERT_EQ(leaf.at(entry).crc, data.crcs[entry]) << entry;
  }
}

TEST(Leaf, OneOfFewRunsIsFoldedAndSaysTheSame) {
  // The record of a batch, and a little, as far as a word holds it, and further.
  for (u64 gap : {1U, 5U, 16382U, 16383U, 16384U, 40000U}) {
    for (u32 holes : {0U, 1U, 3U}) {
      const LeafData data = of_runs(32, 12, holes, gap, false);
      const Leaf leaf(data);
      EXPECT_TRUE(leaf.is_folded());
      EXPECT_EQ(leaf.count, 32U * 12);
      expect_same(leaf, data);
    }
  }
  const LeafData backwards = of_runs(20, 9, 2, 0, true);
  const Leaf leaf(backwards);
  EXPECT_TRUE(leaf.is_folded());
  expect_same(leaf, backwards);
}

TEST(Leaf, ItsEndsAreFoldedToo) {
  const LeafData whole = of_runs(1, leaf_blocks, 0, 0, false);
  const Leaf full(whole);
  EXPECT_TRUE(full.is_folded());
  EXPECT_LT(full.bytes(), 2200U);
  expect_same(full, whole);
  LeafData last;
  last.names[leaf_blocks - 1] = SlotName::of(segment_number_max, 65535);
  last.crcs[leaf_blocks - 1] = 9;
  const Leaf one(last);
  EXPECT_TRUE(one.is_folded());
  expect_same(one, last);
  const Leaf none{LeafData{}};
  EXPECT_TRUE(none.is_folded());
  expect_same(none, LeafData{});
}

/// No two of its blocks are neighbours; its segments lie within so many of each other.
LeafData scattered(u64 segment, u64 segments, u64 slots) {
  LeafData data;
  for (u32 entry = 0; entry < leaf_blocks; entry += entry % 7 == 5 ? 2 : 1) {
    data.names[entry] =
        SlotName::of(segment + (u64{entry} * 7919 + 1) % segments, 1 + (u64{entry} * 104729) % (slots - 1));
    data.crcs[entry] = entry * 13 + 5;
  }
  return data;
}

TEST(Leaf, OneOfManyRunsIsNarrow) {
  for (u64 segments : {1U, 2U, 1000U, 1U << 20}) {
    const LeafData data = scattered(70'000'000, segments, 2048);
    const Leaf leaf(data);
    EXPECT_FALSE(leaf.is_folded());
    EXPECT_LT(leaf.bytes(), 4300U);
    expect_same(leaf, data);
  }
  const LeafData runs = of_runs(33, 10, 1, 1, false);
  const Leaf leaf(runs);
  EXPECT_FALSE(leaf.is_folded());
  EXPECT_LT(leaf.bytes(), 4300U);
  expect_same(leaf, runs);
}

TEST(Leaf, OneWhoseNamesLieFarApartStaysAsItIs) {
  LeafData data = scattered(5, 1000, 2048);
  data.names[1] = SlotName::of(5, 3);
  data.names[100] = SlotName::of(5 + (u64{1} << 21), 9);
  const Leaf far(data);
  EXPECT_GT(far.bytes(), 6144U);
  expect_same(far, data);
  data.names[100] = SlotName::of(segment_number_max, 65535);
  expect_same(Leaf(data), data);
  // 32 bits are just enough.
  data.names[100] = SlotName::of(5 + (u64{1} << 21) - 1, 2047);
  const Leaf near(data);
  EXPECT_LT(near.bytes(), 4300U);
  expect_same(near, data);
}

TEST(Leaf, ANameThatWouldLookLikeAHoleStaysOne) {
  LeafData data = scattered(5, 1000, 2048);
  data.names[0] = SlotName::of(5, 0);
  expect_same(Leaf(data), data);
}

TEST(Leaf, PackedLaterItSaysTheSame) {
  for (const LeafData& data : {scattered(9, 300, 1024), of_runs(5, 30, 2, 8, false), LeafData{}}) {
    Leaf leaf;
    leaf.data() = data;
    expect_same(leaf, data);
    leaf.pack();
    EXPECT_LT(leaf.bytes(), 4300U);
    expect_same(leaf, data);
  }
}

TEST(Leaf, AnyNamesStayTheSame) {
  Rng rng(20261130);
  for (int round = 0; round < 300; ++round) {
    LeafData data;
    SlotName next = SlotName::of(1 + rng.below(1000), rng.below(1000));
    const u64 turn = 1 + rng.below(60);
    const u64 segments = u64{1} << rng.below(40);
    for (u32 entry = 0; entry < leaf_blocks; ++entry) {
      if (rng.below(turn) == 0)
        next =
            rng.below(2) == 0 ? next.plus(rng.below(40000)) : SlotName::of(1 + rng.below(segments), rng.below(60000));
      if (rng.below(turn) == 0) entry += static_cast<u32>(rng.below(20));
      if (entry >= leaf_blocks) break;
      data.names[entry] = next;
      data.crcs[entry] = static_cast<u32>(rng.next());
      next = next.plus(1);
    }
    expect_same(Leaf(data), data);
  }
}

}  // namespace
}  // namespace brindle
