// discard_test.cc: large parts of a volume that are discarded one behind the other, as fstrim does it.
#include "model/world.h"

namespace brindle::model {
namespace {

constexpr u64 leaves_a_piece = 16;  // the least that a hidden root takes away
constexpr u64 piece_bytes = leaves_a_piece * leaf_bytes;
constexpr u64 pieces = 200;

class DiscardTest : public testing::Test {
 protected:
  DiscardTest() : world({}) {
    EXPECT_TRUE(world.open());
    world.create("db", pieces * piece_bytes);
    for (u64 i = 0; i < pieces * leaves_a_piece; ++i) world.write("db", i * leaf_bytes, pattern(i, block_size));
    world.sync();
  }
  void discard(const std::string& name, u64 first) {
    EXPECT_TRUE(world.run(world.handle(name)->discard(first * piece_bytes, piece_bytes, false)));
  }
  /// Discards all of it piece by piece, asked for at once; returns the most roots that there were.
  u64 discard_all(const std::string& name) {
    const auto all = [](World& within, Handle& to) -> Task<u64> {
      u64 most = 0;
      const auto one = [](World& in, Handle& of, u64 first, u64& roots) -> Task<void> {
        EXPECT_TRUE(co_await of.discard(first * piece_bytes, piece_bytes, false));
        roots = std::max(roots, in.engine().roots());
      };
      Gate gate(within.runtime());
      for (u64 i = 0; i < pieces; ++i) gate.spawn(one(within, to, i, most));
      co_await gate.close();
      co_return most;
    };
    const auto to = world.handle(name);
    return world.run(all(world, *to));
  }
  World world;
};

TEST_F(DiscardTest, ManyWaitForTheReclaimerInsteadOfForOneAnother) {
  world.close();  // the reclaimer has to read each leaf
  ASSERT_TRUE(world.open());
  EXPECT_LE(discard_all("db"), 1 + cuts_max);
  EXPECT_EQ(world.read("db", 17 * piece_bytes, block_size), std::string(block_size, '\0'));
  world.sync();
  EXPECT_EQ(world.engine().roots(), 1u);
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  world.close();
}

TEST_F(DiscardTest, ThoseThatTheLogStillHasAreTakenOneAfterTheOtherToo) {
  world.snapshot("db@s");
  world.clone("db@s", "dev");
  discard_all("dev");
  world.write("dev", 0, pattern(1000, block_size));
  world.lose_power();
  ASSERT_TRUE(world.open());
  EXPECT_LE(world.engine().roots(), 3 + cuts_max);
  world.sync();
  EXPECT_EQ(world.engine().roots(), 3u);
  for (u64 i = 0; i < pieces; ++i) EXPECT_EQ(world.read("db", i * piece_bytes, block_size), pattern(i * leaves_a_piece, block_size));
  world.remove("dev");
  world.sync();
  EXPECT_EQ(world.engine().live_blocks(), pieces * leaves_a_piece);
  world.close();
}

TEST_F(DiscardTest, WhereNothingIsThereIsNothingToTakeAway) {
  world.create("empty", pieces * piece_bytes);
  EXPECT_EQ(discard_all("empty"), 2u);
  discard("db", 3);
  world.sync();
  discard("db", 3);
  EXPECT_EQ(world.engine().roots(), 2u);
  EXPECT_EQ(world.engine().live_blocks(), (pieces - 1) * leaves_a_piece);
  world.close();
}

}  // namespace
}  // namespace brindle::model
