// flip_test.cc: one wrong bit anywhere in what a pool lives by is found, and laid at the right doors; one elsewhere is not.
#include <set>

#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

class FlipTest : public testing::Test {
 protected:
  FlipTest() : world({}) {
    EXPECT_TRUE(world.open());
    make_sample(world);
  }

  std::vector<CheckedRange> checked() {
    std::vector<CheckedRange> ranges;
    const auto report = world.verify({.checked = &ranges});
    EXPECT_TRUE(report && report->clean());
    std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
    const auto same = [](const auto& a, const auto& b) { return a.offset == b.offset; };
    ranges.erase(std::unique(ranges.begin(), ranges.end(), same), ranges.end());
    return ranges;
  }
  static std::string kind_of(const std::string& what) {
    if (what == "superblock" || what == "log") return what;
    if (what == "page") return "map";
    return what == "data" || what == "log data" ? "checksum" : "table";
  }

  World world;
  Rng rng{7};
};

TEST_F(FlipTest, TheSampleHasOneOfEach) {
  const Image image(world.disk());
  std::set<PageKind> kinds;
  Image copy(world.disk());
  copy.edit_pages([&](EditedPage& page) {
    kinds.insert(page.ref.kind);
    return false;
  });
  EXPECT_EQ(kinds.size(), 3u);
  EXPECT_FALSE(image.gone.empty());
  const auto packed = [](const auto& item) { return item.second.packed; };
  EXPECT_TRUE(std::any_of(image.segments.begin(), image.segments.end(), packed));
  const auto branch = [](const auto& item) { return item.second.kind == RootKind::branch; };
  EXPECT_TRUE(std::any_of(image.roots.begin(), image.roots.end(), branch));
  EXPECT_GE(image.directory_size(), table_count - 1) << "all but debts";
}

TEST_F(FlipTest, EveryRangeThatCountsIsCheckedAndFound) {
  Image image(world.disk());
  u64 data = 0;
  std::set<std::string> seen;
  for (const CheckedRange& range : checked()) {
    const std::string what = range.what;
    seen.insert(what);
    data += what == "data" ? 1 : 0;
    // Every structure; in bytes that stand for all, the first, the last and some between.
    const u64 tries = what == "data" ? 1 : 4;
    for (u64 i = 0; i < tries; ++i) {
      const u64 at = i == 0 ? range.offset + rng.below(range.length)
                   : i == 1 ? range.offset
                   : i == 2 ? range.offset + range.length - 1
                            : range.offset + rng.below(range.length);
      const u8 mask = static_cast<u8>(1 << rng.below(8));
      image.flip(at, mask);
      const auto report = world.verify();
      image.flip(at, mask);
      ASSERT_TRUE(report) << what << " at " << at;
      ASSERT_FALSE(report->clean()) << what << " at " << at;
      const auto kind = kind_of(what);
      const bool named = std::any_of(report->damage.begin(), report->damage.end(),
                                     [&](const CheckDamage& damage) { return damage.kind == kind; });
      EXPECT_TRUE(named) << what << " at " << at << " is told as " << report->damage.front().kind << ": "
                         << report->damage.front().note;
    }
  }
  for (const char* what : {"superblock", "root", "directory", "table", "page", "data"}) EXPECT_TRUE(seen.contains(what)) << what;
  EXPECT_EQ(data, world.verify()->blocks);
}

TEST_F(FlipTest, EveryByteOfTheTablesCounts) {
  Image image(world.disk());
  for (const CheckedRange& range : checked()) {
    const std::string what = range.what;
    if (what != "root" && what != "directory" && what != "table") continue;
    for (u64 at = range.offset; at < range.offset + range.length; ++at) {
      image.flip(at, 0x10);
      const auto report = world.verify({.read_data = false});
      image.flip(at, 0x10);
      ASSERT_TRUE(report && !report->clean()) << what << " at " << at;
    }
  }
}

TEST_F(FlipTest, DeadSpaceIsNoDamage) {
  const std::vector<CheckedRange> ranges = checked();
  Image image(world.disk());
  u64 tried = 0;
  while (tried < 200) {
    u64 at = rng.below(world.disk().size);
    // Half of them right behind something that counts.
    if (rng.one_in(2)) {
      const CheckedRange& near = ranges[rng.below(ranges.size())];
      at = near.offset + near.length;
    }
    const bool counts = std::any_of(ranges.begin(), ranges.end(), [&](const CheckedRange& range) {
      return at >= range.offset && at < range.offset + range.length;
    });
    if (counts || at >= world.disk().size) continue;
    image.flip(at, 0xff);
    const auto report = world.verify();
    image.flip(at, 0xff);
    ASSERT_TRUE(report && report->clean()) << "at " << at << ": " << report->damage.front().note;
    ++tried;
  }
}

/// What every volume and snapshot answers, block by block: the ones that cannot be read.
std::set<std::pair<std::string, u64>> unreadable(SimDisk disk) {
  std::set<std::pair<std::string, u64>> bad;
  SimRuntime runtime(3);
  SimDevice device(runtime, disk, 3);
  EngineCore engine(runtime, device, {.read_only = true, .memory_max = 16 * MiB});
  const auto body = [](EngineCore& of, std::set<std::pair<std::string, u64>>& out) -> Task<void> {
    const Status opened = co_await of.open();
    EXPECT_TRUE(opened) << opened.error().message;
    AlignedBuffer buffer(block_size);
    for (const bool snapshots : {false, true}) {
      for (const EntryInfo& info : of.list(snapshots, "")) {
        auto handle = of.open_handle(info.name, true);
        // The parts of the sample that are not all hole.
        for (const u64 leaf : {0, 1, 3, 300}) {
          for (u64 block = leaf * leaf_blocks; block < (leaf + 1) * leaf_blocks && block < info.size / block_size; ++block) {
            const MutBytes into = buffer.span();
            const Status status = co_await (*handle)->read(block * block_size, into);
            if (!status) out.emplace(info.name, block);
          }
        }
      }
    }
    const Status closed = co_await of.close();
    static_cast<void>(closed);
  };
  runtime.run(body(engine, bad));
  return bad;
}

TEST_F(FlipTest, NamesExactlyThoseWhoCannotReadIt) {
  Image image(world.disk());
  std::vector<CheckedRange> ranges = checked();
  std::erase_if(ranges, [](const CheckedRange& range) {
    return std::string(range.what) != "data" && std::string(range.what) != "page";
  });
  for (int round = 0; round < 60; ++round) {
    const CheckedRange range = ranges[rng.below(ranges.size())];
    // Pages are few: every second time one of them.
    if (round % 2 == 0 && std::string(range.what) == "data") {
      --round;
      continue;
    }
    const u64 at = range.offset + rng.below(range.length);
    image.flip(at, 0x40);
    const auto report = world.verify();
    const auto expected = unreadable(world.disk());
    image.flip(at, 0x40);
    ASSERT_TRUE(report);
    std::set<std::pair<std::string, u64>> told;
    for (const CheckDamage& damage : report->damage) {
      for (u64 block = damage.offset / block_size; block < (damage.offset + damage.length) / block_size; ++block) {
        const u64 leaf = block / leaf_blocks;
        if (!damage.volume.empty() && (leaf <= 1 || leaf == 3 || leaf == 300)) told.emplace(damage.volume, block);
      }
    }
    EXPECT_EQ(told, expected) << range.what << " at " << at;
  }
}

// --- the log --------------------------------------------------------------------------------------------------------

TEST(FlipLog, DurableRecordsAndDataAreFoundAndTheTailIsNot) {
  World world({.verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 16 * MiB);
  world.sync();
  world.write("db", 0, pattern(1, 64 * KiB));
  world.snapshot("db@one");  // flushes, so what lies before is durable
  world.write("db", 8192, pattern(2, 8192));
  const auto handle = world.handle("db");
  ASSERT_TRUE(world.run(handle->flush()));
  world.write("db", 1 * MiB, pattern(3, 4096));  // tells how far the flush went
  static_cast<void>(const_cast<std::unique_ptr<Handle>&>(handle).release());
  world.kill();
  std::vector<CheckedRange> ranges;
  const auto whole = world.verify({.checked = &ranges});
  ASSERT_TRUE(whole && whole->clean());
  EXPECT_GE(whole->batches, 4u);
  EXPECT_EQ(whole->snapshots, 1u);
  std::erase_if(ranges, [](const CheckedRange& range) { return std::string(range.what).substr(0, 3) != "log"; });
  Image image(world.disk());
  u64 found_records = 0;
  u64 cut = 0;
  for (const CheckedRange& range : ranges) {
    const u64 at = range.offset + range.length / 2;
    image.flip(at);
    const auto report = world.verify();
    image.flip(at);
    ASSERT_TRUE(report);
    if (report->clean()) {
      EXPECT_LT(report->last_batch, whole->last_batch) << "found whole at " << at;
      ++cut;
      continue;
    }
    if (std::string(range.what) == "log") {
      ++found_records;
      EXPECT_EQ(report->damage[0].kind, "log");
    } else {
      EXPECT_EQ(report->damage[0].kind, "checksum");
      EXPECT_TRUE(report->damage[0].volume == "db" || report->damage[0].volume == "db@one");
    }
  }
  EXPECT_GE(found_records, 2u);
  EXPECT_GE(cut, 1u);
}

TEST(FlipLog, DamageFollowsItsHoldersThroughTheLog) {
  World world({.verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 16 * MiB);
  world.write("db", 0, pattern(1, 16384));
  world.sync();
  Image before(world.disk());
  const auto at = before.locate(before.name_of(before.root_of("db").id, 1));
  ASSERT_TRUE(at);
  world.snapshot("db@one");
  world.clone("db@one", "dev");
  world.write("db", 4096, pattern(2, 4096));
  world.clone("db", "late");
  world.kill();
  before.flip(*at);
  const auto report = world.verify();
  ASSERT_TRUE(report);
  ASSERT_EQ(report->damage.size(), 2u);
  EXPECT_EQ(report->damage[0].volume, "db@one");
  EXPECT_EQ(report->damage[1].volume, "dev");
  const auto checkpoint = world.verify({.log = false});
  ASSERT_TRUE(checkpoint);
  ASSERT_EQ(checkpoint->damage.size(), 1u);
  EXPECT_EQ(checkpoint->damage[0].volume, "db");
  EXPECT_EQ(checkpoint->damage[0].offset, 4096u);
  EXPECT_EQ(checkpoint->damage[0].length, 4096u);
}

}  // namespace
}  // namespace brindle::model
