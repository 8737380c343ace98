#include "base/names.h"

#include <gtest/gtest.h>

namespace brindle {
namespace {

TEST(Names, AcceptsWhatTheRuleAllows) {
  for (const char* good : {"a", "db", "A.b_c-9", "_x", "9"}) EXPECT_TRUE(check_name(good)) << good;
  EXPECT_TRUE(check_name(std::string(128, 'x')));
}

TEST(Names, RefusesEverythingElse) {
  for (const char* bad : {"", "-a", ".a", "a b", "a/b", "a@b", "\xc3\xa4", "a\n"}) EXPECT_FALSE(check_name(bad)) << bad;
  EXPECT_FALSE(check_name(std::string(129, 'x')));
  for (const char* bad : {"@", "a@", "@b", "a@b@c", "a@-b"}) EXPECT_FALSE(parse_name(bad)) << bad;
}

TEST(Names, SplitsVolumeAndSnapshot) {
  const auto full = parse_name("db@monday");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->volume, "db");
  EXPECT_EQ(full->snapshot, "monday");
}

TEST(Sizes, AreNeverRounded) {
  EXPECT_EQ(*parse_size("4096"), 4096u);
  EXPECT_EQ(*parse_size("4K"), 4096u);
  EXPECT_EQ(*parse_size("1024T"), PiB);
  for (const char* bad : {"", "0", "0K", "1", "4097", "1K", "-4096", "1.5G", "4096B", "4k", "K", " 4096", "1025T",
                          "18446744073709551616", "99999999999999999999T", "0x1000"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Sizes, ReadWellForPeople) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(4096), "4.0 KiB");
  EXPECT_EQ(format_size(GiB + GiB / 2), "1.5 GiB");
}

}  // namespace
}  // namespace brindle
