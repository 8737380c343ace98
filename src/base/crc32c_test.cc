#include "base/crc32c.h"

#include <array>

#include <gtest/gtest.h>

namespace brindle {
namespace {

TEST(Crc32c, agrees_with_rfc_3720) {
  std::array<std::byte, 32> zeroes{};
  EXPECT_EQ(crc32c(zeroes), 0x8a9136aaU);
  std::array<std::byte, 32> ones{};
  ones.fill(std::byte{0xff});
  EXPECT_EQ(crc32c(ones), 0x62a8ab43U);
}

TEST(Crc32c, goes_on_from_a_seed) {
  std::array<std::byte, 100> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  auto all = std::span<const std::byte>(bytes);
  EXPECT_EQ(crc32c(all.subspan(37), crc32c(all.first(37))), crc32c(all));
}

}  // namespace
}  // namespace brindle
