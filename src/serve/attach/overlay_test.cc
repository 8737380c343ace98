#include "serve/attach/overlay.h"

#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <vector>

#include <gtest/gtest.h>

namespace brindle::attach {
namespace {

std::vector<std::byte> filled(size_t length, int value) { return std::vector<std::byte>(length, std::byte(value)); }

TEST(Overlay, written_sectors_cover_and_others_stay) {
  auto overlay = Overlay::open(::testing::TempDir());
  ASSERT_TRUE(overlay.ok());
  ASSERT_TRUE((*overlay)->write(1024, filled(512, 7)).ok());
  ASSERT_TRUE((*overlay)->write(1024, filled(1024, 8)).ok());
  auto bytes = filled(4096, 1);
  ASSERT_TRUE((*overlay)->patch(0, bytes).ok());
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], std::byte(i >= 1024 && i < 2048 ? 8 : 1)) << i;
}

TEST(Overlay, patch_of_part_of_a_sector_takes_the_right_part) {
  auto overlay = Overlay::open(::testing::TempDir());
  ASSERT_TRUE(overlay.ok());
  std::vector<std::byte> sector(512);
  for (size_t i = 0; i < sector.size(); ++i) sector[i] = std::byte(i % 251);
  ASSERT_TRUE((*overlay)->write(512, sector).ok());
  auto bytes = filled(100, 1);
  ASSERT_TRUE((*overlay)->patch(700, bytes).ok());
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], sector[700 - 512 + i]) << i;
}

TEST(Overlay, a_sector_that_could_not_be_written_stays_as_it_was) {
  auto overlay = Overlay::open(::testing::TempDir());
  ASSERT_TRUE(overlay.ok());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{512, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status written = (*overlay)->write(0, filled(1024, 7));
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(written);
  auto bytes = filled(1024, 1);
  ASSERT_TRUE((*overlay)->patch(0, bytes).ok());
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], std::byte(i < 512 ? 7 : 1)) << i;
  ASSERT_TRUE((*overlay)->write(512, filled(512, 9)).ok());
  ASSERT_TRUE((*overlay)->patch(0, bytes).ok());
  for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], std::byte(i < 512 ? 7 : 9)) << i;
}

TEST(Overlay, refuses_part_of_a_sector) {
  auto overlay = Overlay::open(::testing::TempDir());
  ASSERT_TRUE(overlay.ok());
  EXPECT_EQ((*overlay)->write(100, filled(512, 1)).code(), Code::invalid);
  EXPECT_EQ((*overlay)->write(512, filled(100, 1)).code(), Code::invalid);
}

}  // namespace
}  // namespace brindle::attach
