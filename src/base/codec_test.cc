#include "base/codec.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace brindle {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(Codec, VarintsComeBack) {
  Rng rng(1);
  for (int i = 0; i < 2000; ++i) {
    const u64 value = rng.next() >> rng.below(64);
    Writer to;
    to.put_varint(value);
    Reader from(to.bytes());
    EXPECT_EQ(from.get_varint(), value);
    EXPECT_TRUE(from.done());
  }
  Writer to;
  to.put_varint(~u64{0});
  EXPECT_EQ(to.size(), 10u);
  Reader from(to.bytes());
  EXPECT_EQ(from.get_varint(), ~u64{0});
  EXPECT_TRUE(from.done());
}

TEST(Codec, AVarintHasOneEncodingOnly) {
  for (const auto& bytes : {bytes_of({0x80, 0x00}), bytes_of({0xff, 0x80, 0x00}), bytes_of({0x80}),
                            bytes_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}),
                            bytes_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x80, 0x01})}) {
    Reader from(bytes);
    EXPECT_EQ(from.get_varint(), 0u);
    EXPECT_FALSE(from.ok());
  }
}

TEST(Codec, AReaderStaysWithinItsBytes) {
  const auto bytes = bytes_of({1, 2, 3});
  Reader from(bytes);
  EXPECT_EQ(from.get<u16>(), 0x0201);
  EXPECT_EQ(from.get<u32>(), 0u);
  EXPECT_FALSE(from.ok());
  EXPECT_EQ(from.get<u8>(), 0u) << "after the first short read every value is zero";
  const auto cut_short = bytes_of({5, 'a'});
  Reader text(cut_short);
  EXPECT_EQ(text.get_string(100), "");
  EXPECT_FALSE(text.ok());
  const auto long_text = bytes_of({3, 'a', 'b', 'c'});
  Reader limited(long_text);
  EXPECT_EQ(limited.get_string(2), "");
  EXPECT_FALSE(limited.ok());
}

}  // namespace
}  // namespace brindle
