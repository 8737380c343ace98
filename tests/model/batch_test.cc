// batch_test.cc: when a batch of writes goes to the device although another one is under way.
#include "base/aligned.h"
#include "model/world.h"
#include "runtime/sync.h"

namespace brindle::model {
namespace {

// Less than any write of the simulated disk takes.
constexpr u64 moment_ns = 2 * microsecond_ns;

Task<void> write_one(Handle& volume, u64 offset, Bytes from, Status& status) {
  Status written = co_await volume.write(offset, from, false);
  if (!written) status = written;
}

/// One write after the other, of so many blocks each; how many writes the device has got by the moment after each.
Task<std::vector<u64>> one_by_one(World& world, Handle& volume, const std::vector<u64>& blocks) {
  AlignedBuffer buffer(64 * block_size);
  buffer.clear();
  std::vector<u64> got;
  Status status;
  Gate gate(world.runtime());
  const u64 before = world.device().writes();
  u64 offset = 0;
  for (u64 count : blocks) {
    gate.spawn(write_one(volume, offset, buffer.span().first(count * block_size), status));
    offset += count * block_size;
    co_await world.runtime().sleep(moment_ns);
    got.push_back(world.device().writes() - before);
  }
  co_await gate.close();
  EXPECT_TRUE(status.ok());
  co_return got;
}

std::vector<u64> sent(const std::vector<u64>& blocks) {
  World world{WorldOptions{}};
  EXPECT_TRUE(world.open());
  world.create("db", 16 * MiB);
  world.write("db", 0, std::string(block_size, 'x'));
  world.sync();
  const auto volume = world.handle("db");
  return world.run(one_by_one(world, *volume, blocks));
}

using Counts = std::vector<u64>;

TEST(Batch, ASecondOneGoesWhenItIsAsLargeAsTheFirst) {
  EXPECT_EQ(sent({8, 8}), (Counts{1, 2}));
  EXPECT_EQ(sent({20, 12, 8}), (Counts{1, 1, 2}));
}

TEST(Batch, ASmallerOneWaits) {
  EXPECT_EQ(sent({20, 19}), (Counts{1, 1}));
  EXPECT_EQ(sent({4, 4}), (Counts{1, 1}));
  EXPECT_EQ(sent({1, 7}), (Counts{1, 1}));
}

TEST(Batch, AThirdOneWaitsUntilItIsFull) {
  EXPECT_EQ(sent({8, 8, 60}), (Counts{1, 2, 2}));
}

}  // namespace
}  // namespace brindle::model
