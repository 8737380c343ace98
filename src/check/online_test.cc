// online_test.cc: the verifier beside a running engine that goes on writing.
#include "model/world.h"

namespace brindle::model {
namespace {

struct Online {
  std::optional<Result<CheckReport>> report;
  bool done = false;
};

Task<void> check_now(World& world, Online& out) {
  const auto hold = co_await world.engine().hold_checkpoint();
  EXPECT_TRUE(hold);
  auto report = co_await verify(world.runtime(), world.device(), {.log = false}, nullptr);
  out.report.emplace(std::move(report));
  out.done = true;
}

/// Until the check has ended.
Task<void> keep_writing(World& world, u64 seed, const Online& online) {
  Rng rng(seed);
  auto handle = world.handle("db");
  AlignedBuffer buffer(64 * KiB);
  for (u64 round = 0; !online.done; ++round) {
    const std::string bytes = pattern(rng.next(), buffer.size());
    std::memcpy(buffer.data(), bytes.data(), bytes.size());
    const Bytes from = buffer.span();
    const Status written = co_await handle->write(rng.below(200) * 64 * KiB, from, false);
    EXPECT_TRUE(written || written.code() == Code::no_space);
    if (round % 5 == 4) {
      const auto checkpoint = co_await world.engine().hold_checkpoint();
      EXPECT_TRUE(checkpoint);
    }
  }
}

TEST(Online, FindsNothingWrongWhileTheEngineWritesCheckpointsAndCompacts) {
  for (u64 seed = 1; seed <= 10; ++seed) {
    World world({.seed = seed, .pool_size = 48 * MiB});
    ASSERT_TRUE(world.open());
    world.create("db", 64 * MiB);
    for (u64 i = 0; i < 12; ++i) world.write("db", i * MiB, pattern(i, 512 * KiB));
    world.snapshot("db@one");
    for (u64 round = 0; round < 6; ++round) {
      Online online;
      Gate gate(world.runtime());
      gate.spawn(keep_writing(world, seed * 10 + round, online));
      gate.spawn(check_now(world, online));
      world.runtime().run(gate.close());
      ASSERT_TRUE(online.report && *online.report);
      for (const CheckDamage& damage : (*online.report)->damage) {
        ADD_FAILURE() << damage.kind << " '" << damage.volume << "' at " << damage.offset << ": " << damage.note;
      }
    }
    world.close();
  }
}

}  // namespace
}  // namespace brindle::model
