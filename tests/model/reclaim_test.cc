// reclaim_test.cc: what deletions take where very many have a part in them.
#include <fmt/format.h>

#include "model/world.h"

namespace brindle::model {
namespace {

TEST(ReclaimTest, ABranchPointOfAThousandChildrenReadsTheirPagesTogether) {
  constexpr u64 clones = 1000;
  World world({.pool_size = 512 * MiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 8 * MiB);
  world.write("db", 0, pattern(1, 64 * KiB));
  world.snapshot("db@s");
  for (u64 i = 0; i < clones; ++i) {
    const std::string name = fmt::format("c{}", i);
    world.clone("db@s", name);
    world.write(name, i % 16 * block_size, pattern(2 + i, block_size));
  }
  world.remove("db");
  world.close();
  ASSERT_TRUE(world.open());  // no page of a map is in memory
  const u64 reads = world.device().reads();
  const u64 began_ns = world.runtime().now_ns();
  world.remove("db@s");
  world.sync();
  const u64 took_ns = world.runtime().now_ns() - began_ns;
  const u64 pages = world.device().reads() - reads;
  EXPECT_GE(pages, clones);
  // One after the other would take a latency each.
  EXPECT_LT(took_ns, pages * world.device().faults().latency_ns / 8);
  EXPECT_EQ(world.engine().live_blocks(), 16 + clones);
}

}  // namespace
}  // namespace brindle::model
