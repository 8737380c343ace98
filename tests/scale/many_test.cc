// many_test.cc: a hundred thousand snapshots and clones in one pool.
#include <fmt/format.h>

#include "base/rng.h"
#include "scale/real_pool.h"

namespace brindle {
namespace {

constexpr u64 many = 100'000;

TEST(Many, AHundredThousandSnapshotsAndClonesStayQuickAndSmall) {
  RealPool pool({.pool_size = 4 * GiB, .memory_max = 256 * MiB});
  const u64 resident_before = RealPool::resident_bytes();
  const auto make = [&] { return pool.engine().volume_create("db", 64 * MiB, {}); };
  ASSERT_TRUE(pool.run(make));
  // Half snapshots, half clones, most of them many to a command; a sample alone, each timed.
  std::vector<double> create_s;
  const u64 a_time = 1000;
  for (u64 i = 0; i < many / 2; i += a_time) {
    std::vector<std::string> clones;
    for (u64 k = 0; k < a_time; ++k) clones.push_back(fmt::format("clone-{}", i + k));
    const auto clone = [&] { return pool.engine().clone("db", clones, {}); };
    const Status cloned = pool.run(clone);
    ASSERT_TRUE(cloned) << cloned.error().message;
  }
  for (u64 i = 0; i < many / 2; ++i) {
    const std::vector<std::string> names{fmt::format("clone-{}@s", i)};
    const auto snap = [&] { return pool.engine().snapshot_create(names, {}); };
    create_s.push_back(seconds([&] { ASSERT_TRUE(pool.run(snap)); }));
  }
  std::sort(create_s.begin(), create_s.end());
  const double p50 = create_s[create_s.size() / 2];
  const double p99 = create_s[create_s.size() * 99 / 100];
  std::vector<EntryInfo> listed;
  const double list_s = seconds([&] {
    const auto list = [&]() -> Task<std::vector<EntryInfo>> { co_return pool.engine().list(true, ""); };
    listed = pool.run(list);
  });
  EXPECT_EQ(listed.size(), many / 2);
  listed = {};
  const u64 resident = RealPool::resident_bytes() - resident_before;
  const double close_s = seconds([&] { pool.close(); });
  const double open_s = seconds([&] { pool.open(); });
  fmt::print("create p50 {:.3f} ms, p99 {:.3f} ms; list {:.0f} ms; close {:.0f} ms; open {:.0f} ms; resident {} MiB\n", p50 * 1e3,
             p99 * 1e3, list_s * 1e3, close_s * 1e3, open_s * 1e3, resident / MiB);
  EXPECT_LE(p50, 0.005);
  EXPECT_LE(list_s, 1.0);
  EXPECT_LE(open_s, 2.0);
  EXPECT_LE(resident, 256 * MiB + 64 * MiB);
}

}  // namespace
}  // namespace brindle
