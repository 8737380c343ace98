#include "device/staged_device.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/aligned.h"
#include "device/sim_device.h"
#include "runtime/sim_runtime.h"

namespace brindle {
namespace {

constexpr u64 disk_bytes = 16 * MiB;
constexpr StagingOwner owner{.device = 7, .inode = 8};

AlignedBuffer filled(u64 length, int with) {
  AlignedBuffer buffer(length);
  std::memset(buffer.data(), with, length);
  return buffer;
}

class StagedDeviceTest : public testing::Test {
 protected:
  StagedDeviceTest() : memory(staging_min) {
    memory.clear();
    begin();
    EXPECT_TRUE(run(device->fill(0, disk_bytes)));
  }
  ~StagedDeviceTest() override {
    if (staged) end();
  }
  void begin() {
    device = std::make_unique<SimDevice>(runtime, disk, 1);
    staging = std::make_unique<Staging>(memory.span(), owner);
    staged = std::make_unique<StagedDevice>(runtime, *device, *staging);
  }
  void end() {
    runtime.run(staged->close());
    staged.reset();
  }
  /// kill -9: nothing ends.
  void die() {
    runtime.drop();
    device->kill();
    static_cast<void>(staged.release());  // NOLINT: its coroutines still point into it
    static_cast<void>(staging.release());
    static_cast<void>(device.release());
  }
  template <class T>
  T run(Task<T> task) {
    std::optional<T> out;
    runtime.run([](Task<T> inner, std::optional<T>& to) -> Task<void> { to.emplace(co_await std::move(inner)); }(std::move(task), out));
    return std::move(*out);
  }
  Status stage(u64 offset, AlignedBuffer& from, u64 opening = 1) {
    const iovec one{from.data(), from.size()};
    return run(staged->stage(opening, offset, {&one, 1}));
  }
  int at(u64 offset) {
    AlignedBuffer block(block_size);
    EXPECT_TRUE(run(static_cast<Device&>(*staged).read(offset, block.span())));
    return std::to_integer<int>(block.data()[block_size - 1]);
  }

  SimRuntime runtime{1};
  SimDisk disk{disk_bytes};
  AlignedBuffer memory;
  std::unique_ptr<SimDevice> device;
  std::unique_ptr<Staging> staging;
  std::unique_ptr<StagedDevice> staged;
};

TEST_F(StagedDeviceTest, AWriteIsDoneBeforeTheDeviceHasIt) {
  device->faults().slow_ns = 10 * second_ns;
  device->faults().slow_calls = 1;
  AlignedBuffer block = filled(block_size, 5);
  const u64 began = runtime.now_ns();
  ASSERT_TRUE(stage(0, block));
  EXPECT_LT(runtime.now_ns() - began, second_ns);
  EXPECT_EQ(at(0), 5);
  EXPECT_FALSE(staged->settled());
  EXPECT_TRUE(run(staged->flush()));
  EXPECT_GE(runtime.now_ns() - began, 10 * second_ns);
  EXPECT_TRUE(staged->settled());
  EXPECT_EQ(at(0), 5);
}

TEST_F(StagedDeviceTest, AReadMixesWhatIsStagedWithWhatIsNot) {
  AlignedBuffer four = filled(4 * block_size, 1), one = filled(block_size, 2);
  ASSERT_TRUE(run(static_cast<Device&>(*staged).write(0, Bytes(four.span()))));
  device->faults().slow_ns = 10 * second_ns;
  device->faults().slow_calls = 1;
  ASSERT_TRUE(stage(block_size, one));
  AlignedBuffer all(4 * block_size);
  ASSERT_TRUE(run(static_cast<Device&>(*staged).read(0, all.span())));
  for (u64 i = 0; i < 4; ++i) EXPECT_EQ(std::to_integer<int>(all.data()[i * block_size]), i == 1 ? 2 : 1) << i;
}

TEST_F(StagedDeviceTest, TheNextProcessWritesWhatAKilledOneStaged) {
  device->faults().slow_ns = 10 * second_ns;
  device->faults().slow_calls = 100;
  AlignedBuffer first = filled(block_size, 1), second = filled(2 * block_size, 2);
  ASSERT_TRUE(stage(0, first));
  ASSERT_TRUE(stage(8 * block_size, second));
  die();
  begin();
  EXPECT_FALSE(staged->settled());
  const auto bytes = run(staged->unstage(1));
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(*bytes, 3 * block_size);
  EXPECT_TRUE(staged->settled());
  EXPECT_EQ(at(0), 1);
  EXPECT_EQ(at(9 * block_size), 2);
}

TEST_F(StagedDeviceTest, WhatWasStagedInAnotherOpeningIsForgotten) {
  device->faults().slow_ns = 10 * second_ns;
  device->faults().slow_calls = 100;
  AlignedBuffer block = filled(block_size, 1);
  ASSERT_TRUE(stage(0, block, 3));
  die();
  disk.blocks.clear();
  begin();
  EXPECT_EQ(*run(staged->unstage(4)), 0U);
  EXPECT_TRUE(staged->settled());
  EXPECT_EQ(at(0), 0);
}

TEST_F(StagedDeviceTest, WhatTheDeviceDoesNotTakeAtTheStartStays) {
  device->faults().slow_ns = 10 * second_ns;
  device->faults().slow_calls = 100;
  AlignedBuffer block = filled(block_size, 1);
  ASSERT_TRUE(stage(0, block));
  die();
  begin();
  device->faults().failing_writes = 2;
  EXPECT_EQ(run(staged->unstage(1)).code(), Code::io);
  EXPECT_FALSE(staged->settled());
  EXPECT_TRUE(run(staged->unstage(1)).ok());
  EXPECT_EQ(at(0), 1);
}

TEST_F(StagedDeviceTest, AWriteThatFailsLaterFailsWhateverComesNext) {
  device->faults().failing_writes = 2;
  AlignedBuffer block = filled(block_size, 9);
  ASSERT_TRUE(stage(0, block));
  EXPECT_EQ(run(staged->flush()).code(), Code::io);
  EXPECT_EQ(stage(block_size, block).code(), Code::io);
  EXPECT_EQ(run(static_cast<Device&>(*staged).write(0, Bytes(block.span()))).code(), Code::io);
  EXPECT_EQ(at(0), 9) << "what was acknowledged is still read";
  EXPECT_FALSE(staged->settled());
}

TEST_F(StagedDeviceTest, APassingErrorCostsOnlyTime) {
  device->faults().failing_writes = 1;
  AlignedBuffer block = filled(block_size, 9);
  ASSERT_TRUE(stage(0, block));
  EXPECT_TRUE(run(staged->flush()));
}

TEST_F(StagedDeviceTest, MoreThanTheMemoryHoldsGoesThroughItInOrder) {
  // Of many lengths, so that the ring's end is met in every way; 24 times what it holds.
  u64 offset = 0;
  for (int round = 0; round < 24 * 16; ++round) {
    const u64 length = (1 + static_cast<u64>(round) * 7 % 31) * block_size;
    if (offset + length > disk_bytes) offset = 0;
    AlignedBuffer bytes = filled(length, round % 251);
    ASSERT_TRUE(stage(offset, bytes));
    ASSERT_EQ(at(offset + length - block_size), round % 251);
    offset += length;
  }
  EXPECT_TRUE(run(staged->flush()));
  EXPECT_TRUE(staged->settled());
}

TEST_F(StagedDeviceTest, WhatIsTooLongIsWrittenAtOnce) {
  AlignedBuffer bytes = filled(staging->length_max() + block_size, 3);
  ASSERT_TRUE(stage(0, bytes));
  EXPECT_TRUE(staged->settled());
  EXPECT_EQ(at(staging->length_max()), 3);
}

TEST_F(StagedDeviceTest, TheSamePlaceAgainWaitsForTheFirst) {
  for (int i = 1; i <= 20; ++i) {
    AlignedBuffer block = filled(block_size, i);
    ASSERT_TRUE(stage(0, block));
  }
  EXPECT_TRUE(run(staged->flush()));
  EXPECT_EQ(at(0), 20);
}

TEST(StagingTest, OnlyItsOwnerBelievesIt) {
  AlignedBuffer memory(staging_min), block = filled(block_size, 1);
  memory.clear();
  const iovec one{block.data(), block.size()};
  Staging(memory.span(), owner).put(1, 0, block_size, {&one, 1});
  EXPECT_EQ(Staging(memory.span(), owner).left_over().size(), 1U);
  EXPECT_FALSE(Staging::belongs_to(memory.span(), {.boot = {1}, .device = 7, .inode = 8}));
  EXPECT_TRUE(Staging(memory.span(), {.boot = {1}, .device = 7, .inode = 8}).left_over().empty());
  EXPECT_TRUE(Staging(memory.span(), owner).left_over().empty()) << "and it is nobody else's any more";
}

TEST(StagingTest, ADescriptorThatRottedIsNotBelieved) {
  AlignedBuffer block = filled(block_size, 1);
  const iovec one{block.data(), block.size()};
  for (u64 byte = 0; byte < 44; ++byte) {
    AlignedBuffer memory(staging_min);
    memory.clear();
    Staging(memory.span(), owner).put(1, 0, block_size, {&one, 1});
    memory.data()[block_size + 64 + byte] ^= std::byte{0x10};  // the first sequence is 1
    EXPECT_TRUE(Staging(memory.span(), owner).left_over().empty()) << byte;
  }
}

}  // namespace
}  // namespace brindle
