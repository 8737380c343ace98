#include "pool/holes.h"

#include <gtest/gtest.h>

namespace brindle {
namespace {

constexpr u64 chunk_blocks = chunk_size_min / block_size;

/// Chunk 1 holds segment 1, and all of it lives.
class HolesTest : public testing::Test {
 protected:
  HolesTest() {
    space.load_chunks(6, {});
    space.mark_used(1, ChunkUse::segments);
    segment = &space.add_segment({.number = 1, .pieces = {{0, space.chunk_offset(1)}}}, true);
    space.allocated(SlotName::of(1, 0), chunk_blocks, 1);
    space.close_segment(1);
    checkpoint();
  }
  void checkpoint() {
    space.seal(++number);
    space.durable();
  }
  void free_blocks(u32 from, u32 to) {
    for (u32 slot = from; slot < to; ++slot) space.free_block(SlotName::of(1, slot));
  }
  void move_to(u64 chunk) {
    space.moved(*segment, {{0, space.chunk_offset(chunk)}}, SlotSet::of(std::vector<u64>(chunk_blocks / 64, ~u64{0})));
  }

  Space space{chunk_size_min};
  Segment* segment = nullptr;
  u64 number = 1;
};

TEST_F(HolesTest, AreSettledOnceACheckpointIsDurableAndWhoLookedBeforeHasEnded) {
  EXPECT_TRUE(space.settled());
  space.seal(++number);
  EXPECT_FALSE(space.settled());
  space.durable();
  EXPECT_TRUE(space.settled());
  const u64 before = space.enter();
  EXPECT_TRUE(space.settled());
  checkpoint();
  EXPECT_FALSE(space.settled());
  const u64 after = space.enter();
  space.leave(before);
  EXPECT_TRUE(space.settled());
  space.leave(after);
}

TEST_F(HolesTest, AreNotWhereTheDurableCheckpointLooksForWhatWasMoved) {
  space.mark_used(2, ChunkUse::target);
  space.mark_used(3, ChunkUse::target);
  move_to(2);
  EXPECT_FALSE(space.settled());
  space.seal(++number);
  move_to(3);  // which that checkpoint may know, and may not
  EXPECT_FALSE(space.settled());
  space.durable();
  EXPECT_FALSE(space.settled());
  checkpoint();
  EXPECT_TRUE(space.settled());
}

TEST_F(HolesTest, AreGivenOnceEachAndTheShortestThatWillDo) {
  free_blocks(0, 10);
  free_blocks(20, 21);
  free_blocks(chunk_blocks - 3, chunk_blocks);
  checkpoint();
  Holes holes(space);
  ASSERT_TRUE(holes.add(1));
  EXPECT_EQ(holes.left(), 14u);
  EXPECT_EQ(holes.take(16, 16).blocks, 0u);
  EXPECT_EQ(holes.take(1, 1).offset, space.chunk_offset(1) + 20 * block_size);
  EXPECT_EQ(holes.take(2, 1).offset, space.chunk_offset(2) - 3 * block_size);
  EXPECT_EQ(holes.take(1, 1).offset, space.chunk_offset(2) - block_size);
  const auto [offset, blocks] = holes.take(16, 1);
  EXPECT_EQ(offset, space.chunk_offset(1));
  EXPECT_EQ(blocks, 10u);
  EXPECT_EQ(holes.take(1, 1).blocks, 0u);
  EXPECT_EQ(holes.left(), 0u);
  holes.leave();
}

TEST_F(HolesTest, AChunkStaysUntilItIsLeftWhateverDiesInIt) {
  free_blocks(0, 10);
  checkpoint();
  Holes holes(space);
  ASSERT_TRUE(holes.add(1));
  free_blocks(10, chunk_blocks);
  checkpoint();
  EXPECT_EQ(space.use(1), ChunkUse::target);
  holes.leave();
  EXPECT_EQ(space.use(1), ChunkUse::releasing);
  checkpoint();
  EXPECT_EQ(space.use(1), ChunkUse::free);
}

}  // namespace
}  // namespace brindle
