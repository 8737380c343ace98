#include "device/layout.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace brindle {
namespace {

constexpr u64 row_unit = 1 * MiB;

Layout made(std::vector<u64> rows) {
  Layout layout(row_unit, static_cast<u32>(rows.size()));
  EXPECT_TRUE(layout.extend(std::move(rows)));
  return layout;
}

TEST(Layout, SharesOutUnitsInTurnAndTheLargestGoesOnAlone) {
  const Layout layout = made({2, 4, 2});
  EXPECT_EQ(layout.size(), 8 * row_unit);
  std::vector<u32> members;
  for (u64 i = 0; i < 8; ++i) members.push_back(layout.locate(i * row_unit).member);
  EXPECT_EQ(members, (std::vector<u32>{0, 1, 2, 0, 1, 2, 1, 1}));
  EXPECT_EQ(layout.locate(4 * row_unit + 5).offset, label_area_bytes + row_unit + 5);
  EXPECT_EQ(layout.locate(4 * row_unit + 5).run, row_unit - 5);
  EXPECT_EQ(layout.locate(6 * row_unit).run, 2 * row_unit);
}

TEST(Layout, NoAddressMovesWhenItBecomesLonger) {
  for (u64 seed = 1; seed <= 50; ++seed) {
    Rng rng(seed);
    const u32 count = static_cast<u32>(2 + rng.below(5));
    const auto draw = [&] {
      std::vector<u64> rows(count);
      for (u64& one : rows) one = rng.below(4);
      return rows;
    };
    std::vector<u64> first(count, 1);
    Layout layout = made(first);
    for (int step = 0; step < 8; ++step) {
      const Layout before = layout;
      ASSERT_TRUE(layout.extend(draw()));
      std::map<std::pair<u32, u64>, u64> taken;
      for (u64 at = 0; at < layout.size(); at += row_unit) {
        const Layout::Place place = layout.locate(at);
        EXPECT_TRUE(taken.emplace(std::pair(place.member, place.offset), at).second);
        EXPECT_GE(place.offset, label_area_bytes);
        EXPECT_LE(place.offset + row_unit, layout.bytes_of(place.member));
        if (at >= before.size()) continue;
        EXPECT_EQ(before.locate(at).member, place.member);
        EXPECT_EQ(before.locate(at).offset, place.offset);
      }
      // A reader of its zones sees the same.
      const auto read = Layout::of(row_unit, count, layout.zones());
      ASSERT_TRUE(read);
      EXPECT_EQ(read->size(), layout.size());
      for (u64 at = 0; at < layout.size(); at += row_unit) EXPECT_EQ(read->locate(at).offset, layout.locate(at).offset);
    }
  }
}

TEST(Layout, ReachesAsFarAsEveryUnitBeforeIsThere) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    const u32 count = static_cast<u32>(2 + rng.below(3));
    std::vector<u64> rows(count);
    for (u64& one : rows) one = 1 + rng.below(4);
    Layout layout = made(rows);
    std::vector<u64> sizes;
    for (u32 i = 0; i < count; ++i) sizes.push_back(rng.below(layout.bytes_of(i) / block_size + 100) * block_size);
    u64 reach = 0;
    for (; reach < layout.size(); reach += block_size) {
      const Layout::Place place = layout.locate(reach);
      if (place.offset + block_size > sizes[place.member]) break;
    }
    EXPECT_EQ(layout.reach(sizes), reach) << seed;
  }
}

TEST(Layout, GrowingAgainAndAgainTakesNoFurtherZone) {
  Layout layout = made({3, 5});
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(layout.extend({1, 1}));
  EXPECT_EQ(layout.zones().size(), 3u);
}

TEST(Layout, TooManyZonesAndTooManyBytesAreRefusedAndChangeNothing) {
  Layout layout = made({1, 1});
  Status status;
  u64 steps = 0;
  for (; status && steps < 1000; ++steps) status = layout.extend({steps % 2, 1 - steps % 2});
  EXPECT_EQ(status.code(), Code::invalid);
  EXPECT_EQ(layout.zones().size(), zones_max);
  EXPECT_EQ(layout.size(), (steps + 1) * row_unit);
  EXPECT_EQ(layout.extend({u64{1} << 60, 0}).code(), Code::invalid);
  EXPECT_EQ(layout.extend({~u64{0}, ~u64{0}}).code(), Code::invalid);
  EXPECT_EQ(layout.size(), (steps + 1) * row_unit);
}

TEST(Layout, WhatCannotBeIsCorrupt) {
  const std::vector<Zone> good{{3, 4}};
  EXPECT_TRUE(Layout::of(row_unit, 2, good));
  EXPECT_FALSE(Layout::of(row_unit + 1, 2, good));
  EXPECT_FALSE(Layout::of(unit_max * 2, 2, good));
  EXPECT_FALSE(Layout::of(0, 2, good));
  EXPECT_FALSE(Layout::of(row_unit, 1, good));
  EXPECT_FALSE(Layout::of(row_unit, members_max + 1, good));
  EXPECT_FALSE(Layout::of(row_unit, 3, good));  // the third gives nothing
  for (const Zone wrong : {Zone{0, 4}, Zone{7, 4}, Zone{3, 0}, Zone{3, ~u64{0}}}) {
    EXPECT_FALSE(Layout::of(row_unit, 2, std::vector<Zone>{wrong}));
  }
  EXPECT_FALSE(Layout::of(row_unit, 2, {}));
  EXPECT_FALSE(Layout::of(row_unit, 2, std::vector<Zone>(zones_max + 1, Zone{3, 1})));
}

}  // namespace
}  // namespace brindle
