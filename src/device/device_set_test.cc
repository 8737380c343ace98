#include "device/device_set.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/aligned.h"
#include "device/sim_device.h"
#include "runtime/sim_runtime.h"

namespace brindle {
namespace {

constexpr u64 unit = 512 * KiB;

class DeviceSetTest : public testing::Test {
 protected:
  /// Members that have so many units; the last one grows.
  void make(const std::vector<u64>& rows, DeviceSet::Keep keep = {}) {
    Layout layout(unit, static_cast<u32>(rows.size()));
    ASSERT_TRUE(layout.extend(rows));
    std::vector<DeviceSet::Member> members;
    for (u32 i = 0; i < rows.size(); ++i) {
      disks.push_back(std::make_unique<SimDisk>(layout.bytes_of(i)));
      devices.push_back(std::make_unique<SimDevice>(runtime, *disks.back(), i + 1));
      members.push_back({devices.back().get(), i + 1 == rows.size()});
    }
    set = std::make_unique<DeviceSet>(runtime, layout, members, std::move(keep));
  }
  Status run(Task<Status> task) {
    Status status;
    runtime.run([](Task<Status> inner, Status& out) -> Task<void> { out = co_await std::move(inner); }(std::move(task),
                                                                                                       status));
    return status;
  }
  Status fill(u64 offset, u64 length) { return run(set->fill(offset, length)); }
  Status put(u64 offset, const AlignedBuffer& from) {
    return run(static_cast<Device&>(*set).write(offset, Bytes(from.span())));
  }
  Status get(u64 offset, AlignedBuffer& to) { return run(static_cast<Device&>(*set).read(offset, to.span())); }
  static AlignedBuffer bytes(u64 length, u64 stamp) {
    AlignedBuffer buffer(length);
    for (u64 at = 0; at < length; at += 8) {
      const u64 word = stamp + at;
      std::memcpy(buffer.data() + at, &word, 8);
    }
    return buffer;
  }

  SimRuntime runtime{1};
  std::vector<std::unique_ptr<SimDisk>> disks;
  std::vector<std::unique_ptr<SimDevice>> devices;
  std::unique_ptr<DeviceSet> set;
};

TEST_F(DeviceSetTest, ReadsBackWhatSpansMembers) {
  make({2, 3, 2});
  ASSERT_TRUE(fill(0, 7 * unit));
  EXPECT_EQ(set->size(), 7 * unit);
  const AlignedBuffer out = bytes(7 * unit - 8192, 99);
  ASSERT_TRUE(put(4096, out));
  AlignedBuffer in(out.size());
  ASSERT_TRUE(get(4096, in));
  EXPECT_EQ(std::memcmp(in.data(), out.data(), out.size()), 0);
  for (u64 at : {u64{0}, unit - 8192, 3 * unit, 5 * unit - 4096}) {
    AlignedBuffer part(8192);
    ASSERT_TRUE(get(at + 4096, part));
    EXPECT_EQ(std::memcmp(part.data(), out.data() + at, 8192), 0);
  }
}

TEST_F(DeviceSetTest, AnErrorOfOneMemberIsTheRequests) {
  make({2, 2});
  ASSERT_TRUE(fill(0, 4 * unit));
  devices[1]->faults().write_error_one_in = 1;
  EXPECT_EQ(put(unit - 4096, bytes(8192, 1)).code(), Code::io);
  EXPECT_TRUE(put(0, bytes(8192, 1)));
  devices[0]->faults().failing_reads = 2;
  AlignedBuffer in(8192);
  EXPECT_EQ(get(unit - 4096, in).code(), Code::io);
}

TEST_F(DeviceSetTest, AFlushAsksWhoWasWrittenAndFailsWithAnyOfThem) {
  make({2, 2, 2});
  ASSERT_TRUE(fill(0, 6 * unit));
  const auto counts = [&] {
    return std::vector<u64>{devices[0]->flushes(), devices[1]->flushes(), devices[2]->flushes()};
  };
  EXPECT_TRUE(run(set->flush()));
  EXPECT_EQ(counts(), (std::vector<u64>{1, 1, 1}));  // what was there before counts as written
  EXPECT_TRUE(run(set->flush()));
  EXPECT_EQ(counts(), (std::vector<u64>{1, 1, 1}));
  ASSERT_TRUE(put(unit, bytes(4096, 1)));
  ASSERT_TRUE(put(2 * unit, bytes(4096, 1)));
  devices[2]->faults().failing_flushes = 1;
  EXPECT_EQ(run(set->flush()).code(), Code::io);
  EXPECT_TRUE(run(set->flush()));  // and the one that failed is asked again
  EXPECT_EQ(counts(), (std::vector<u64>{1, 2, 3}));
}

TEST_F(DeviceSetTest, AFlushBesideAnotherIsNoLessThanThatOne) {
  make({2, 2});
  ASSERT_TRUE(fill(0, 4 * unit));
  ASSERT_TRUE(run(set->flush()));
  ASSERT_TRUE(put(0, bytes(4096, 1)));
  const auto both = [](DeviceSet& of, Runtime& on, u64& good) -> Task<void> {
    const auto flush = [](DeviceSet& one, u64& count) -> Task<void> {
      const Status status = co_await one.flush();
      if (status) ++count;
    };
    Gate gate(on);
    gate.spawn(flush(of, good));
    gate.spawn(flush(of, good));
    co_await gate.close();
  };
  devices[0]->faults().failing_flushes = 2;  // it tells the first two who ask
  u64 good = 0;
  runtime.run(both(*set, runtime, good));
  EXPECT_EQ(good, 0u);
}

TEST_F(DeviceSetTest, MembersThatGrowAreFilledSideBySide) {
  make({4, 4});
  EXPECT_EQ(set->size(), 0u);
  EXPECT_EQ(set->size_max(), 8 * unit);
  for (u64 i = 0; i < 5; ++i) ASSERT_TRUE(fill(i * unit, unit));
  EXPECT_EQ(set->size(), 5 * unit);
  EXPECT_EQ(disks[0]->size, label_area_bytes + 3 * unit);
  EXPECT_EQ(disks[1]->size, label_area_bytes + 2 * unit);
  devices[1]->faults().host_full = true;
  EXPECT_EQ(fill(5 * unit, unit).code(), Code::no_space);
  EXPECT_EQ(set->size(), 5 * unit);
}

TEST_F(DeviceSetTest, ALimitIsRaisedOnlyWhenItIsKept) {
  Status kept = Error{Code::io, "no"};
  u64 calls = 0;
  make({2, 2}, [&](const Layout& layout) -> Task<Status> {
    ++calls;
    EXPECT_EQ(layout.size(), 7 * unit);
    Status answer = kept;
    co_return answer;
  });
  EXPECT_TRUE(run(set->set_size_max(3 * unit)));  // never less
  EXPECT_EQ(set->size_max(), 4 * unit);
  EXPECT_EQ(run(set->set_size_max(7 * unit - 5)).code(), Code::io);
  EXPECT_EQ(set->size_max(), 4 * unit);
  kept = {};
  EXPECT_TRUE(run(set->set_size_max(7 * unit - 5)));
  EXPECT_EQ(set->size_max(), 7 * unit);
  EXPECT_EQ(calls, 2u);
  EXPECT_TRUE(fill(0, 7 * unit));
  EXPECT_EQ(disks[0]->size, label_area_bytes + 2 * unit);
  EXPECT_EQ(disks[1]->size, label_area_bytes + 5 * unit);
}

TEST_F(DeviceSetTest, WithoutAMemberThatGrowsItStaysAsItIs) {
  make({2, 2});
  EXPECT_EQ(run(set->set_size_max(8 * unit)).code(), Code::invalid);
  EXPECT_EQ(set->size_max(), 4 * unit);
}

TEST_F(DeviceSetTest, WhatAPunchTookReadsAsZeroes) {
  make({2, 2});
  ASSERT_TRUE(fill(0, 4 * unit));
  ASSERT_TRUE(put(0, bytes(4 * unit, 1)));
  ASSERT_TRUE(run(set->punch(unit, 2 * unit)));
  AlignedBuffer in(4 * unit);
  ASSERT_TRUE(get(0, in));
  EXPECT_NE(in.data()[unit - 8], std::byte{0});
  for (u64 at = unit; at < 3 * unit; ++at) ASSERT_EQ(in.data()[at], std::byte{0});
  EXPECT_NE(in.data()[3 * unit], std::byte{0});
}

}  // namespace
}  // namespace brindle
