#include "pool/space.h"

#include <gtest/gtest.h>

namespace brindle {
namespace {

constexpr u64 segment_blocks = 8 * MiB / block_size;

/// Segment 1 lies in chunk 1, and all its blocks live.
class SpaceMemoryTest : public testing::Test {
 protected:
  SpaceMemoryTest() {
    space.load_chunks(4, {});
    space.mark_used(1, ChunkUse::segments);
    space.add_segment({.number = 1, .pieces = {{0, space.chunk_offset(1)}}}, true);
    space.allocated(SlotName::of(1, 0), segment_blocks, 1);
    space.close_segment(1);
    checkpoint();
  }
  void checkpoint() {
    space.seal(++number);
    space.durable();
  }
  void free_blocks(u64 from, u64 to) {
    for (u64 slot = from; slot < to; ++slot) space.free_block(SlotName::of(1, slot));
    checkpoint();
  }

  Space space{8 * MiB};
  u64 number = 1;
};

TEST_F(SpaceMemoryTest, ASegmentTakesTheLessTheLessOfItLives) {
  const u64 full = space.memory_bytes();
  EXPECT_GE(full, sizeof(Segment) + segment_blocks / 8);
  free_blocks(20, segment_blocks);
  EXPECT_LE(space.memory_bytes(), full - segment_blocks / 8 + 64);
  free_blocks(0, 20);
  EXPECT_EQ(space.memory_bytes(), 0u) << "it is gone";
}

TEST_F(SpaceMemoryTest, WhatWasMovedTakesNoMoreThanWhatLives) {
  free_blocks(0, segment_blocks - 10);
  const u64 before = space.memory_bytes();
  std::vector<u64> present(segment_blocks / 64);
  for (u64 slot = segment_blocks - 10; slot < segment_blocks; ++slot) present[slot / 64] |= u64{1} << (slot % 64);
  space.mark_used(2, ChunkUse::target);
  space.moved(*space.find(1), {{static_cast<u32>(segment_blocks - 10), space.chunk_offset(2)}}, SlotSet::of(present));
  checkpoint();
  EXPECT_LE(space.memory_bytes(), before + 64);
  EXPECT_EQ(space.locate(SlotName::of(1, segment_blocks - 7)), space.chunk_offset(2) + 3 * block_size);
  EXPECT_FALSE(space.locate(SlotName::of(1, 0)));
  free_blocks(segment_blocks - 10, segment_blocks);
  EXPECT_EQ(space.memory_bytes(), 0u);
}

}  // namespace
}  // namespace brindle
