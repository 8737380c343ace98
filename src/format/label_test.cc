// label_test.cc: the bytes of a label, and which devices make a pool.
#include "format/label.h"

#include <gtest/gtest.h>

#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/rng.h"
#include "format/members.h"
#include "format/superblock.h"

namespace brindle {
namespace {

constexpr u64 unit = 1 * MiB;
const Uuid one_pool{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

MemberLabel label_with(u32 index, std::vector<u64> rows, u64 generation = 1) {
  Layout layout(unit, static_cast<u32>(rows.size()));
  std::vector<std::string> names;
  for (size_t i = 0; i < rows.size(); ++i) names.push_back(fmt::format("/dev/sd{}", static_cast<char>('a' + i)));
  EXPECT_TRUE(layout.extend(std::move(rows)));
  return {one_pool, generation, index, layout, names};
}

/// A device as it lies, both copies whole.
FoundMember found(const std::string& name, const MemberLabel& label) {
  std::vector<std::byte> front(superblock_b_offset + block_size);
  const std::vector<std::byte> bytes = encode_label(label);
  std::copy(bytes.begin(), bytes.end(), front.begin());
  std::copy(bytes.begin(), bytes.end(), front.begin() + superblock_b_offset);
  return {name, label.layout.bytes_of(label.index), false, parse_labels(front)};
}

TEST(Label, FieldsStandWhereThePageSays) {
  const std::vector<std::byte> bytes = encode_label(label_with(1, {2, 3}, 7));
  ASSERT_EQ(bytes.size(), 4096u);
  const auto number = [&](size_t at, size_t length) {
    u64 value = 0;
    std::memcpy(&value, bytes.data() + at, length);
    return value;
  };
  EXPECT_EQ(std::memcmp(bytes.data(), "BRINDLE1", 8), 0);
  EXPECT_EQ(number(8, 4), 1u);
  EXPECT_EQ(number(16, 8), 1u);
  EXPECT_EQ(std::memcmp(bytes.data() + 40, one_pool.data(), 16), 0);
  EXPECT_EQ(number(56, 8), unit);
  EXPECT_EQ(number(64, 8), 7u);
  EXPECT_EQ(number(72, 4), 1u);
  EXPECT_EQ(number(76, 4), 2u);
  EXPECT_EQ(number(80, 4), 2u);   // zones
  EXPECT_EQ(number(128, 8), 3u);  // both members
  EXPECT_EQ(number(136, 8), 2u);
  EXPECT_EQ(number(144, 8), 2u);  // the second alone
  EXPECT_EQ(number(152, 8), 1u);
  EXPECT_STREQ(reinterpret_cast<const char*>(bytes.data()) + 1152 + 64, "/dev/sdb");
  std::vector<std::byte> zeroed = bytes;
  std::fill_n(zeroed.begin() + 12, 4, std::byte{0});
  EXPECT_EQ(number(12, 4), crc32c(zeroed));
}

TEST(Label, ReadsBackWhatWasWritten) {
  MemberLabel label = label_with(2, {2, 3, 9}, 12);
  label.names[0] = fmt::format("{:x>100}end", "");
  label.names[1] = "a\nb";
  const auto read = parse_label(encode_label(label));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->pool, label.pool);
  EXPECT_EQ(read->generation, 12u);
  EXPECT_EQ(read->index, 2u);
  EXPECT_EQ(read->layout.zones(), label.layout.zones());
  EXPECT_EQ(read->names[0].size(), member_name_max);
  EXPECT_TRUE(read->names[0].ends_with("end"));
  EXPECT_EQ(read->names[1], "a?b");
}

TEST(Label, ADeviceOfSeveralIsNoPoolOfItsOwnAndTheOtherWayRound) {
  const std::vector<std::byte> label = encode_label(label_with(0, {2, 2}));
  EXPECT_EQ(parse_superblock(label).code(), Code::unsupported);
  Superblock super;
  super.chunk_size = unit;
  seal_superblock(super);
  EXPECT_EQ(parse_label(std::as_bytes(std::span(&super, 1))).code(), Code::invalid);
}

TEST(Label, NonsenseIsRefused) {
  const std::vector<std::byte> good = encode_label(label_with(0, {2, 2}));
  const auto with = [&](size_t at, u64 value, size_t length, bool sealed = true) {
    std::vector<std::byte> bytes = good;
    std::memcpy(bytes.data() + at, &value, length);
    if (sealed) {
      std::fill_n(bytes.begin() + 12, 4, std::byte{0});
      const u32 crc = crc32c(bytes);
      std::memcpy(bytes.data() + 12, &crc, 4);
    }
    return parse_label(bytes);
  };
  EXPECT_TRUE(with(64, 99, 8));
  EXPECT_EQ(with(0, 7, 8).code(), Code::invalid);
  EXPECT_EQ(with(8, 2, 4).code(), Code::unsupported);
  EXPECT_EQ(with(16, 3, 8).code(), Code::unsupported);
  EXPECT_EQ(with(24, 1, 8).code(), Code::unsupported);
  EXPECT_TRUE(with(32, 1, 8));
  EXPECT_EQ(with(64, 99, 8, false).code(), Code::corrupt);
  EXPECT_EQ(with(56, unit + 1, 8).code(), Code::corrupt);
  EXPECT_EQ(with(72, 2, 4).code(), Code::corrupt);  // the third of two
  EXPECT_EQ(with(76, 1, 4).code(), Code::corrupt);
  EXPECT_EQ(with(76, 3, 4).code(), Code::corrupt);  // one gives nothing
  EXPECT_EQ(with(76, 99, 4).code(), Code::corrupt);
  EXPECT_EQ(with(80, 0, 4).code(), Code::corrupt);
  EXPECT_EQ(with(80, 65, 4).code(), Code::corrupt);
  EXPECT_EQ(with(136, 0, 8).code(), Code::corrupt);
  EXPECT_EQ(parse_label(Bytes(good).first(4095)).code(), Code::invalid);
  EXPECT_EQ(parse_label({}).code(), Code::invalid);
}

TEST(Members, AreTakenInAnyOrder) {
  const std::vector<FoundMember> all{found("c", label_with(2, {2, 3, 4})), found("a", label_with(0, {2, 3, 4})),
                                     found("b", label_with(1, {2, 3, 4}))};
  const auto members = join_members(all);
  ASSERT_TRUE(members) << members.error().message;
  EXPECT_EQ(members->order, (std::vector<size_t>{1, 2, 0}));
  EXPECT_FALSE(members->stale);
}

TEST(Members, TheNewestLabelOfAnyCounts) {
  // Growing was cut short when one of them had been told.
  std::vector<FoundMember> all{found("a", label_with(0, {2, 2}, 1)), found("b", label_with(1, {5, 5}, 2))};
  for (FoundMember& one : all) one.grows = true;
  auto members = join_members(all);
  ASSERT_TRUE(members) << members.error().message;
  EXPECT_EQ(members->label.layout.size(), 10 * unit);
  EXPECT_TRUE(members->stale);
  // And when its second copy had not.
  all[0] = found("a", label_with(0, {5, 5}, 2));
  all[1].copies[1] = found("b", label_with(1, {2, 2}, 1)).copies[1];
  members = join_members(all);
  ASSERT_TRUE(members);
  EXPECT_EQ(members->label.layout.size(), 10 * unit);
  EXPECT_TRUE(members->stale);
}

TEST(Members, OneCopyOfALabelIsEnough) {
  std::vector<FoundMember> all{found("a", label_with(0, {2, 2})), found("b", label_with(1, {2, 2}))};
  all[1].copies[0] = Error{Code::corrupt, "rot"};
  const auto members = join_members(all);
  ASSERT_TRUE(members);
  EXPECT_TRUE(members->stale);
  all[1].copies[1] = Error{Code::invalid, "zeroes"};
  EXPECT_EQ(join_members(all).code(), Code::corrupt);
}

TEST(Members, WhatDoesNotGoTogetherIsNamed) {
  const FoundMember a = found("a", label_with(0, {2, 2, 2}));
  const FoundMember b = found("b", label_with(1, {2, 2, 2}));
  const FoundMember c = found("c", label_with(2, {2, 2, 2}));
  MemberLabel other = label_with(1, {2, 2, 2});
  other.pool[0] = 99;
  const FoundMember none{"none",
                         10 * unit,
                         false,
                         {Error{Code::invalid, "it is no device of a Brindle pool"},
                          Error{Code::invalid, "it is no device of a Brindle pool"}}};
  FoundMember cut = c;
  cut.size -= block_size;
  const auto says = [](std::vector<FoundMember> all, const std::string& words, Code code = Code::invalid) {
    const auto members = join_members(all);
    ASSERT_FALSE(members) << words;
    EXPECT_EQ(members.code(), code);
    EXPECT_NE(members.error().message.find(words), std::string::npos) << members.error().message;
  };
  says({a, b}, "a: it is member 1 of 3 of a pool, and member 3 is missing, which was at /dev/sdc");
  says({c}, "member 1 is missing, which was at /dev/sda");
  says({a, b, c, found("copy", label_with(1, {2, 2, 2}))}, "copy: it is member 2 of 3, as b is");
  says({a, found("stranger", other), c}, "stranger: it belongs to pool 63");
  says({a, none, c}, "none: it is no device of a Brindle pool");
  says({a, b, cut}, "c: it was cut short", Code::corrupt);
  says({a, found("d", label_with(1, {2, 2}))}, "d: its label and that of a contradict", Code::corrupt);
}

TEST(Members, RandomBytesAreRefused) {
  for (u64 seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    std::vector<std::byte> bytes = encode_label(label_with(0, {2, 2}));
    for (u64 i = rng.between(1, 5); i > 0; --i)
      bytes[rng.below(bytes.size())] ^= static_cast<std::byte>(rng.between(1, 255));
    const auto label = parse_label(bytes);
    EXPECT_FALSE(label && label->layout.size() > 4 * unit);
  }
}

}  // namespace
}  // namespace brindle
