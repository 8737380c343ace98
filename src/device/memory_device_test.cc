#include "device/memory_device.h"

#include <gtest/gtest.h>

#include "runtime/sim_runtime.h"

namespace brindle {
namespace {

Task<void> play(MemoryDevice& device, std::vector<std::byte>& seen) {
  AlignedBuffer block(block_size);
  std::memset(block.data(), 7, block.size());
  const Bytes bytes = block.span();
  Status status = co_await device.fill(0, 1 * MiB);
  EXPECT_TRUE(status);
  for (const u64 at : {u64{0}, 256 * KiB, 512 * KiB - block_size}) {
    status = co_await device.Device::write(at, bytes);
    EXPECT_TRUE(status);
  }
  status = co_await device.punch(256 * KiB, 256 * KiB);
  EXPECT_TRUE(status);
  AlignedBuffer all(1 * MiB);
  status = co_await device.Device::read(0, all.span());
  EXPECT_TRUE(status);
  seen.assign(all.data(), all.data() + all.size());
}

TEST(MemoryDevice, ReadsBackWhatWasWrittenAndZeroesWhereItWasPunched) {
  MemoryDevice device(4 * MiB);
  SimRuntime runtime(1);
  std::vector<std::byte> seen;
  runtime.run(play(device, seen));
  EXPECT_EQ(device.size(), 1 * MiB);
  EXPECT_EQ(seen[0], std::byte{7});
  EXPECT_EQ(seen[block_size - 1], std::byte{7});
  EXPECT_EQ(seen[block_size], std::byte{0});
  EXPECT_EQ(seen[256 * KiB], std::byte{0});
  EXPECT_EQ(seen[512 * KiB - 1], std::byte{0});
}

}  // namespace
}  // namespace brindle
