#include "base/names.h"

#include <regex>

#include <gtest/gtest.h>

#include "base/rng.h"

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

/// Mostly what the rules speak of, so that many texts are nearly right; now and then any byte.
std::string random_text(Rng& rng, std::string_view alphabet, u64 length_max) {
  std::string text;
  for (u64 n = rng.below(length_max + 1); n > 0; --n) {
    text += rng.one_in(40) ? static_cast<char>(rng.below(256)) : alphabet[rng.below(alphabet.size())];
  }
  return text;
}

TEST(Sizes, OfRandomTextsAreWhatTheRuleReadWordByWordSays) {
  const u64 seed = 20261124;
  Rng rng(seed);
  const std::regex rule("([0-9]+)([KMGT]?)");
  for (int i = 0; i < 20000; ++i) {
    const std::string text = random_text(rng, "0123456789000KMGT", 12);
    std::smatch parts;
    // A number of twelve digits with a T fits 128 bits.
    __extension__ unsigned __int128 value = 0;
    bool good = std::regex_match(text, parts, rule);
    if (good) {
      value = std::stoull(parts[1]);
      for (size_t times = parts[2].length() == 0 ? 0 : std::string("KMGT").find(parts[2]) + 1; times > 0; --times) value *= 1024;
      good = value > 0 && value % 4096 == 0 && value <= PiB;
    }
    const auto size = parse_size(text);
    ASSERT_EQ(size.ok(), good) << "'" << text << "', step " << i << " of seed " << seed;
    if (good) {
      ASSERT_EQ(*size, static_cast<u64>(value)) << text;
    }
    if (!good) {
      for (const char c : size.error().message) ASSERT_TRUE(c >= ' ' && c <= '~') << text;
    }
  }
}

TEST(Names, OfRandomTextsAreWhatTheRuleReadWordByWordSays) {
  const u64 seed = 20261125;
  Rng rng(seed);
  const std::regex rule("([A-Za-z0-9_][A-Za-z0-9._-]{0,127})(@([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?");
  for (int i = 0; i < 20000; ++i) {
    const std::string text = random_text(rng, "aZ09._-@bcdefgh", rng.one_in(20) ? 300 : 12);
    std::smatch parts;
    const bool good = std::regex_match(text, parts, rule);
    const auto name = parse_name(text);
    ASSERT_EQ(name.ok(), good) << "'" << text << "', step " << i << " of seed " << seed;
    if (good) {
      ASSERT_EQ(name->volume, parts[1].str());
      ASSERT_EQ(name->snapshot, parts[3].str());
    } else {
      ASSERT_LT(name.error().message.size(), 200u);
      for (const char c : name.error().message) ASSERT_TRUE(c >= ' ' && c <= '~') << text;
    }
  }
}

}  // namespace
}  // namespace brindle
