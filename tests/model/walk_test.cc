// walk_test.cc: who looks at a long part of a map lets others in, however many do so at once.
#include "model/world.h"

namespace brindle::model {
namespace {

constexpr u64 leaves = 128;

struct Walks {
  u64 left = 0;
  u64 turns = 0;  // that somebody else had meanwhile
};

Task<void> walk(Handle& volume, Walks& walks) {
  const auto extents = co_await volume.extents(0, leaves * leaf_bytes, 10 * leaves);
  EXPECT_TRUE(extents);
  EXPECT_EQ(extents ? extents->size() : 0, 2 * leaves);
  --walks.left;
}

Task<Status> walk_beside_another(Runtime& runtime, Handle& volume, Walks& walks) {
  Gate gate(runtime);
  for (u64 i = walks.left; i > 0; --i) gate.spawn(walk(volume, walks));
  for (; walks.left > 0; ++walks.turns) co_await runtime.yield();
  co_await gate.close();
  co_return Status{};
}

TEST(WalkTest, OthersHaveTheirTurnAndOfManyWalksOneGoesOnInEach) {
  World world({});
  ASSERT_TRUE(world.open());
  world.create("big", leaves * leaf_bytes);
  for (u64 leaf = 0; leaf < leaves; ++leaf) world.write("big", leaf * leaf_bytes, pattern(leaf + 1, 4096));
  const auto volume = world.handle("big");
  for (const u64 many : {u64{1}, u64{8}}) {
    Walks walks{many};
    EXPECT_TRUE(world.run(walk_beside_another(world.runtime(), *volume, walks)));
    EXPECT_GE(walks.turns, many * leaves / 8 / 2) << many;
  }
}

}  // namespace
}  // namespace brindle::model
