// large_test.cc: a volume far larger than the memory, and reads through a long history.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "base/aligned.h"
#include "base/rng.h"
#include "engine/hollow_device.h"
#include "scale/real_pool.h"

namespace brindle {
namespace {

/// So many requests at once, each of one block somewhere in the volume. Counts those that failed.
struct Load {
  Handle& handle;
  Rng rng;
  u64 blocks;
  u64 left;
  bool write;
  u64 failed = 0;
};

Task<void> lane(Load& load) {
  AlignedBuffer block(block_size);
  std::memcpy(block.data(), bench::HollowDevice::payload().data(), block.size());
  while (load.left > 0) {
    --load.left;
    const u64 at = load.rng.below(load.blocks) * block_size;
    Status status;
    if (load.write) {
      const Bytes from = block.span();
      status = co_await load.handle.write(at, from, false);
    } else {
      const MutBytes into = block.span();
      status = co_await load.handle.read(at, into);
    }
    if (!status) ++load.failed;
  }
}

Task<Status> write_in_order(Handle& handle, u64 size, u64 piece) {
  AlignedBuffer block(piece);
  for (u64 at = 0; at < piece; at += block_size) std::memcpy(block.data() + at, bench::HollowDevice::payload().data(), block_size);
  const Bytes from = block.span();
  Status status;
  for (u64 offset = 0; offset < size && status; offset += piece) status = co_await handle.write(offset, from, false);
  co_return status;
}

Task<u64> play(Runtime& runtime, Handle& handle, u64 seed, u64 blocks, u64 count, bool write) {
  Load load{handle, Rng(seed), blocks, count, write};
  Gate gate(runtime);
  for (int i = 0; i < 32; ++i) gate.spawn(lane(load));
  co_await gate.close();
  co_return load.failed;
}

class Large : public testing::Test {
 protected:
  void SetUpVolume(RealPool& pool, const std::string& name, u64 size) {
    const auto make = [&] { return pool.engine().volume_create(name, size, {}); };
    ASSERT_TRUE(pool.run(make));
    open(pool, name);
  }
  void open(RealPool& pool, const std::string& name) {
    const auto opened = [&]() -> Task<Result<std::unique_ptr<Handle>>> { co_return pool.engine().open_handle(name, false); };
    auto handle = pool.run(opened);
    ASSERT_TRUE(handle);
    handle_ = std::move(handle).value();
  }
  void close(RealPool& pool, std::unique_ptr<Handle>& handle) {
    const auto drop = [&]() -> Task<Status> {
      handle.reset();
      co_return Status{};
    };
    ASSERT_TRUE(pool.run(drop));
  }
  std::unique_ptr<Handle> handle_;
};

TEST_F(Large, ATebibyteAtRandomStaysWithinItsMemory) {
  constexpr u64 memory = 256 * MiB;
  constexpr u64 count = 150'000;
  RealPool pool({.pool_size = 16 * GiB, .memory_max = memory});
  const u64 before = RealPool::resident_bytes();
  SetUpVolume(pool, "db", TiB);
  u64 most = 0;
  for (u64 round = 0; round < 4; ++round) {
    const bool write = round != 3;
    // The third round overwrites what the first wrote.
    const u64 seed = round == 1 ? 2 : 1;
    const double took = seconds([&] {
      const auto work = [&] { return play(pool.reactor(), *handle_, seed, TiB / block_size, count, write); };
      EXPECT_EQ(pool.run(work), 0u);
    });
    most = std::max(most, RealPool::resident_bytes() - before);
    fmt::print("{} {} in {:.1f} s, resident {} MiB\n", count, write ? "writes" : "reads", took, (RealPool::resident_bytes() - before) / MiB);
  }
  EXPECT_LE(most, memory + 64 * MiB);
  const auto sync = [&] { return pool.engine().sync(); };
  ASSERT_TRUE(pool.run(sync));
  EXPECT_LE(RealPool::resident_bytes() - before, memory + 64 * MiB);
  close(pool, handle_);
}

TEST_F(Large, APoolThatHasJustBecomeFullGoesOn) {
  constexpr u64 size = 64 * GiB;
  constexpr u64 piece = 256 * KiB;
  RealPool pool({.pool_size = 70 * GiB, .memory_max = 128 * MiB, .hollow = true});
  SetUpVolume(pool, "db", size);
  // In order, so that every chunk is nearly full when the first are to make room: they win little, and it takes many.
  const auto fill = [&] { return write_in_order(*handle_, size, piece); };
  const double took = seconds([&] { ASSERT_TRUE(pool.run(fill)); });
  const u64 waited_before = pool.engine().pool_counters().room_wait_ns;
  const u64 count = 7 * GiB / block_size;
  const auto work = [&] { return play(pool.reactor(), *handle_, 1, size / block_size, count, true); };
  EXPECT_EQ(pool.run(work), 0u);
  const PoolCounters after = pool.engine().pool_counters();
  EXPECT_GT(after.compacted_chunks, 100u);
  // While the log waits for room all writes do. It did for half a second when it took more than the first compactions won.
  const u64 waited_ms = (after.room_wait_ns - waited_before) / millisecond_ns;
  fmt::print("filled in {:.1f} s; then the log waited {} ms for room\n", took, waited_ms);
  EXPECT_LT(waited_ms, 100u);
  close(pool, handle_);
}

TEST_F(Large, ReadsThroughAThousandSnapshotsAsThroughNone) {
  RealPool pool;
  constexpr u64 size = 256 * MiB;
  // Two volumes with the same history, but for the snapshots. They are read in turns: other tests run meanwhile, and slow both alike.
  SetUpVolume(pool, "plain", size);
  std::unique_ptr<Handle> plain = std::move(handle_);
  SetUpVolume(pool, "db", size);
  const auto load = [&](Handle& handle, u64 seed, u64 count, bool write) {
    const auto work = [&] { return play(pool.reactor(), handle, seed, size / block_size, count, write); };
    EXPECT_EQ(pool.run(work), 0u);
  };
  const auto write_both = [&](u64 seed, u64 count) {
    for (Handle* handle : {plain.get(), handle_.get()}) load(*handle, seed, count, true);
  };
  write_both(1, 60'000);
  for (u64 i = 0; i < 1000; ++i) {
    write_both(100 + i, 20);
    const std::vector<std::string> names{fmt::format("db@s{}", i)};
    const auto snap = [&] { return pool.engine().snapshot_create(names, {}); };
    ASSERT_TRUE(pool.run(snap));
  }
  // By processor time, and the best of some.
  const auto read = [&](Handle& handle, double& best) {
    const std::clock_t began = std::clock();
    load(handle, 2, 20'000, false);
    best = std::min(best, static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC);
  };
  double with_none = 1e9, with_thousand = 1e9;
  for (int i = 0; i < 10; ++i) {
    read(*plain, with_none);
    read(*handle_, with_thousand);
  }
  fmt::print("20,000 reads: {:.0f} ms of processor with none, {:.0f} ms with 1,000\n", with_none * 1e3, with_thousand * 1e3);
  // The machine is noisy; what would be wrong is a cost for each snapshot.
  EXPECT_LT(with_thousand, with_none * 1.5);
  close(pool, plain);
  close(pool, handle_);
}

}  // namespace
}  // namespace brindle
