#include "device/memory_device.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/aligned.h"
#include "runtime/sim_runtime.h"

namespace brindle {
namespace {

Task<void> play(MemoryDevice& device, std::vector<std::byte>& seen) {
  AlignedBuffer block(block_size);
  std::memset(block.data(), 7, block.size());
  const Bytes bytes = block.span();
  Status status = co_await device.fill(0, 8 * MiB);
  EXPECT_TRUE(status);
  for (const u64 at : {u64{0}, 2 * MiB, 4 * MiB - block_size}) {
    status = co_await device.Device::write(at, bytes);
    EXPECT_TRUE(status);
  }
  status = co_await device.punch(2 * MiB, 2 * MiB);
  EXPECT_TRUE(status);
  AlignedBuffer all(8 * MiB);
  status = co_await device.Device::read(0, all.span());
  EXPECT_TRUE(status);
  seen.assign(all.data(), all.data() + all.size());
}

TEST(MemoryDevice, ReadsBackWhatWasWrittenAndZeroesWhereItWasPunched) {
  MemoryDevice device(16 * MiB);
  SimRuntime runtime(1);
  std::vector<std::byte> seen;
  runtime.run(play(device, seen));
  EXPECT_EQ(device.size(), 8 * MiB);
  EXPECT_EQ(seen[0], std::byte{7});
  EXPECT_EQ(seen[block_size - 1], std::byte{7});
  EXPECT_EQ(seen[block_size], std::byte{0});
  EXPECT_EQ(seen[2 * MiB], std::byte{0});
  EXPECT_EQ(seen[4 * MiB - 1], std::byte{0});
}

}  // namespace
}  // namespace brindle
