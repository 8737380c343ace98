#include "pool/space.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/rng.h"

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

/// Segments that are carried from chunk to chunk in ever more pieces, while they die.
class SpaceMovesTest : public testing::Test {
 protected:
  static constexpr u64 chunks = 16;
  static constexpr u64 segments = 3;
  static constexpr u64 slots = chunk_size_min / block_size;

  SpaceMovesTest() {
    space.load_chunks(chunks, {});
    for (u64 i = 1; i <= segments; ++i) {
      space.mark_used(i, ChunkUse::segments);
      space.add_segment({.number = i, .pieces = {{0, space.chunk_offset(i)}}}, true);
      space.allocated(SlotName::of(i, 0), slots, i);
      space.close_segment(i);
    }
    checkpoint();
  }
  void checkpoint() {
    space.seal(++number);
    space.durable();
  }
  /// Everything of it that lies in `from` goes elsewhere, in pieces as long as it happens.
  void move(Segment& segment, u64 from) {
    const std::vector<SegmentPiece>& before = segment.record.pieces;
    std::vector<SegmentPiece> pieces;
    std::vector<u64> present = segment.record.live.bitmap();
    for (size_t i = 0; i < before.size(); ++i) {
      const u64 end = piece_end(before, i, slots);
      u64 slot = segment.record.live.next(before[i].first_slot, end);
      if (slot == end) continue;
      if (space.chunk_of(before[i].offset) != from) {
        pieces.push_back(before[i]);
        continue;
      }
      for (; slot < end; slot = segment.record.live.next(slot + 1 + random.below(20), end)) {
        u64 to = 1 + random.below(chunks - 1);
        if (to == from || space.use(to) == ChunkUse::releasing) to = from == chunks - 1 ? 1 : chunks - 1;
        space.mark_used(to, ChunkUse::segments);
        pieces.push_back({static_cast<u32>(slot), space.chunk_offset(to) + random.below(slots) * block_size});
      }
    }
    if (!pieces.empty()) space.moved(segment, std::move(pieces), SlotSet::of(present));
  }
  void expect_the_account_is_right() {
    u64 pieces = 0;
    std::vector<u64> live(chunks);
    std::vector<std::vector<const Segment*>> residents(chunks);
    for (u64 i = 1; i <= segments; ++i) {
      const Segment* const segment = space.find(i);
      if (segment == nullptr) continue;
      const std::vector<SegmentPiece>& all = segment->record.pieces;
      pieces += all.size();
      for (size_t at = 0; at < all.size(); ++at) {
        const u64 chunk = space.chunk_of(all[at].offset);
        live[chunk] += segment->record.live.count(all[at].first_slot, piece_end(all, at, slots)) * block_size;
        if (std::find(residents[chunk].begin(), residents[chunk].end(), segment) == residents[chunk].end())
          residents[chunk].push_back(segment);
      }
    }
    EXPECT_EQ(space.pieces(), pieces);
    for (u64 chunk = 0; chunk < chunks; ++chunk) {
      EXPECT_EQ(space.live_bytes(chunk), live[chunk]) << "chunk " << chunk;
      std::vector<const Segment*> there(space.residents(chunk).begin(), space.residents(chunk).end());
      std::sort(there.begin(), there.end());
      std::sort(residents[chunk].begin(), residents[chunk].end());
      EXPECT_EQ(there, residents[chunk]) << "chunk " << chunk;
    }
  }

  Space space{chunk_size_min};
  Rng random{11};
  u64 number = 1;
};

TEST_F(SpaceMovesTest, CountWhatLivesWhereItLies) {
  u64 moves = 0;
  for (u64 step = 0; step < 400 && !HasFailure(); ++step) {
    const u64 picked = 1 + random.below(segments);
    Segment* const segment = space.find(picked);
    if (segment == nullptr) continue;
    // Now and then a long stretch, so that whole pieces die.
    const u64 begin = random.below(slots);
    const u64 end = std::min(slots, begin + (random.below(8) == 0 ? 6 : 1));
    for (u64 slot = begin; slot < end && step > 20; ++slot) {
      if (segment->record.live.has(slot))
        space.free_block(SlotName::of(picked, static_cast<u32>(slot)));
    }
    checkpoint();
    if (space.find(picked) == nullptr || segment->record.live.empty()) continue;
    const std::vector<SegmentPiece>& pieces = segment->record.pieces;
    move(*segment, space.chunk_of(pieces[random.below(pieces.size())].offset));
    ++moves;
    expect_the_account_is_right();
  }
  EXPECT_GT(moves, 100u);
}

}  // namespace
}  // namespace brindle
