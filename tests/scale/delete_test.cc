// delete_test.cc: thousands of snapshots and clones deleted in random order; every byte comes back.
#include <algorithm>

#include <fmt/format.h>

#include "base/aligned.h"
#include "base/rng.h"
#include "scale/real_pool.h"

namespace brindle {
namespace {

constexpr u64 steps = 3000;
constexpr u64 volume_size = 256 * MiB;

class Deletion : public testing::Test {
 protected:
  std::unique_ptr<Handle> open(const std::string& name) {
    const auto opened = [&]() -> Task<Result<std::unique_ptr<Handle>>> { co_return pool_.engine().open_handle(name, false); };
    auto handle = pool_.run(opened);
    EXPECT_TRUE(handle) << name;
    return std::move(handle).value();
  }
  void close(std::unique_ptr<Handle> handle) {
    const auto drop = [&]() -> Task<Status> {
      handle.reset();
      co_return Status{};
    };
    EXPECT_TRUE(pool_.run(drop));
  }
  void write_some(const std::string& name, u64 count) {
    auto handle = open(name);
    const auto writes = [&]() -> Task<Status> {
      for (u64 i = 0; i < count; ++i) {
        const Bytes bytes = block_.span();
        auto status = co_await handle->write(rng_.below(volume_size / block_size) * block_size, bytes, false);
        if (!status) co_return status;
      }
      co_return Status{};
    };
    const Status written = pool_.run(writes);
    EXPECT_TRUE(written) << written.error().message;
    close(std::move(handle));
  }
  void expect(Status status) { ASSERT_TRUE(status) << status.error().message; }
  PoolStatus status() {
    const auto ask = [&]() -> Task<PoolStatus> { co_return pool_.engine().status(); };
    return pool_.run(ask);
  }
  void sync() {
    const auto all = [&] { return pool_.engine().sync(); };
    expect(pool_.run(all));
  }

  RealPool pool_{{.pool_size = 4 * GiB, .memory_max = 64 * MiB}};
  AlignedBuffer block_{block_size};
  Rng rng_{7};
};

TEST_F(Deletion, OfThousandsInRandomOrderGivesEveryByteBack) {
  sync();
  const u64 used_when_new = status().used;
  const auto make = [&] { return pool_.engine().volume_create("v0", volume_size, {}); };
  ASSERT_TRUE(pool_.run(make));
  write_some("v0", 20'000);
  std::vector<std::string> volumes{"v0"};
  std::vector<std::string> names{"v0"};
  for (u64 i = 1; i <= steps; ++i) {
    const std::string& volume = volumes[rng_.below(volumes.size())];
    write_some(volume, 20);
    if (rng_.one_in(3)) {
      const std::string& from = names[rng_.below(names.size())];
      const std::vector<std::string> made{fmt::format("v{}", i)};
      const auto clone = [&] { return pool_.engine().clone(from, made, {}); };
      expect(pool_.run(clone));
      volumes.push_back(made[0]);
      names.push_back(made[0]);
    } else {
      const std::vector<std::string> made{fmt::format("{}@s{}", volume, i)};
      const auto snap = [&] { return pool_.engine().snapshot_create(made, {}); };
      expect(pool_.run(snap));
      names.push_back(made[0]);
    }
  }
  sync();
  const u64 allocated_full = pool_.allocated_bytes();
  double worst_s = 0;
  const double all_s = seconds([&] {
    while (!names.empty()) {
      std::swap(names[rng_.below(names.size())], names.back());
      const std::vector<std::string> gone{names.back()};
      names.pop_back();
      const bool sampled = rng_.one_in(100);
      u64 frees = 0;
      u64 blocks_before = 0;
      if (sampled) {
        sync();
        const auto ask = [&] { return pool_.engine().frees(gone, false); };
        auto answer = pool_.run(ask);
        ASSERT_TRUE(answer);
        frees = *answer;
        blocks_before = pool_.engine().live_blocks();
      }
      const auto remove = [&] { return pool_.engine().remove(gone, false, false); };
      worst_s = std::max(worst_s, seconds([&] { expect(pool_.run(remove)); }));
      if (sampled) {
        sync();
        EXPECT_EQ((blocks_before - pool_.engine().live_blocks()) * block_size, frees) << gone[0];
      }
    }
  });
  sync();
  fmt::print("{} deleted in {:.1f} s, the slowest took {:.1f} ms\n", steps, all_s, worst_s * 1e3);
  EXPECT_EQ(pool_.engine().live_blocks(), 0u);
  EXPECT_EQ(status().used, used_when_new);
  EXPECT_EQ(status().reclaiming, 0u);
  // The host gets its share back when the pool has been quiet for a while.
  for (int i = 0; i < 20 && pool_.allocated_bytes() * 4 > allocated_full; ++i) std::this_thread::sleep_for(std::chrono::seconds(1));
  fmt::print("allocated: {} MiB full, {} MiB empty\n", allocated_full / MiB, pool_.allocated_bytes() / MiB);
  EXPECT_LT(pool_.allocated_bytes() * 4, allocated_full);
}

}  // namespace
}  // namespace brindle
