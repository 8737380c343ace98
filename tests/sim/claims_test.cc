// claims_test.cc: the oracle takes every assignment of records to requests that there is, and none that there is not.
#include "sim/claims.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"

namespace brindle::sim {
namespace {

constexpr RootId head = 7;

class Claim : public testing::Test {
 protected:
  Claim() {
    Object volume;
    volume.id = 1;
    volume.root = head;
    volume.own = "db";
    volume.content.size = 64 * MiB;
    now_.put(volume);
  }

  Claims::Ticket begin(OpKind kind, u64 first, u64 count, bool fua = false) {
    return begin_bytes(kind, first * block_size, count * block_size, fua);
  }
  Claims::Ticket begin_bytes(OpKind kind, u64 offset, u64 length, bool fua = false) {
    return claims_.begin(request_of(now_, {.kind = kind, .name = "db", .offset = offset, .length = length, .fua = fua}));
  }
  bool zeroes(u64 first, u64 count, bool ok = true) {
    std::vector<model::Block> blocks;
    return claims_.claim(now_, {++number_, 1}, SummedRecord{{.head = head, .first_block = first, .count = count, .zero = true}, {}}, ok, replaying_, blocks);
  }
  /// A block of zeroes that stands in the log as data: the edge of a zeroing, over what was a hole.
  bool edge(u64 block) {
    std::vector<model::Block> blocks;
    const std::string bytes(block_size, '\0');
    const SummedRecord record{{.head = head, .first_block = block, .count = 1}, {crc32c(std::as_bytes(std::span(bytes)))}};
    return claims_.claim(now_, {++number_, 1}, record, true, replaying_, blocks);
  }
  bool resized(u64 size, bool ok = true) { return claims_.claim(now_, {++number_, 1}, Command(ResizeVolume{1, size}), ok, replaying_); }
  /// It ended well. False: that cannot be.
  bool acknowledged(Claims::Ticket ticket) {
    if (!claims_.keep(ticket, [&](const Share& share) { return share.whole(*ticket); })) return false;
    marks_ = claims_.acknowledge(ticket, marks_);
    return true;
  }
  /// It was refused, and is atomic.
  bool refused(Claims::Ticket ticket) {
    if (!claims_.keep(ticket, [](const Share& share) { return share.none(); })) return false;
    claims_.drop(ticket);
    return true;
  }

  State now_;
  Claims claims_;
  Marks marks_;
  u64 number_ = 0;
  bool replaying_ = false;
};

TEST_F(Claim, ARecordThatTwoMayHaveIsGivenToTheOneThatEndsWell) {
  for (const bool first : {true, false}) {
    const auto one = begin(OpKind::discard, 0, 8);
    const auto other = begin(OpKind::discard, 0, 8);
    EXPECT_TRUE(zeroes(0, 8));
    EXPECT_TRUE(acknowledged(first ? one : other));
    EXPECT_FALSE(acknowledged(first ? other : one)) << "one record cannot do for two";
    EXPECT_TRUE(zeroes(0, 8));
    EXPECT_TRUE(acknowledged(first ? other : one));
  }
}

TEST_F(Claim, PiecesOfZeroingsThatOverlapAreSwappedUntilAllAgree) {
  const auto shorter = begin(OpKind::zero, 0, 8);
  const auto longer = begin(OpKind::zero, 0, 16);
  EXPECT_TRUE(zeroes(0, 4));
  EXPECT_TRUE(zeroes(0, 8));
  EXPECT_TRUE(zeroes(4, 4));   // of the shorter one, or of the longer
  EXPECT_TRUE(zeroes(8, 8));   // of whichever did not have that
  EXPECT_TRUE(acknowledged(longer));
  EXPECT_TRUE(acknowledged(shorter));
}

TEST_F(Claim, NothingIsGivenTwice) {
  const auto shorter = begin(OpKind::zero, 0, 8);
  const auto longer = begin(OpKind::zero, 0, 16);
  EXPECT_TRUE(zeroes(0, 8));
  EXPECT_TRUE(acknowledged(shorter));
  EXPECT_FALSE(zeroes(8, 8)) << "the longer one has not zeroed what comes before";
  EXPECT_TRUE(zeroes(0, 16));
  EXPECT_TRUE(acknowledged(longer));
  EXPECT_FALSE(zeroes(0, 8)) << "nobody is left";
}

TEST_F(Claim, WhoseRecordIsRefusedIsNotAcknowledged) {
  const auto one = begin(OpKind::zero, 0, 8);
  const auto other = begin(OpKind::zero, 0, 8);
  EXPECT_TRUE(zeroes(0, 8, false));
  EXPECT_TRUE(zeroes(0, 8));
  EXPECT_TRUE(acknowledged(one));
  EXPECT_FALSE(acknowledged(other));
}

TEST_F(Claim, EdgesThatLookAlikeAreSwapped) {
  const auto one = begin_bytes(OpKind::zero, 100, 200);
  const auto other = begin_bytes(OpKind::zero, 300, 100);
  EXPECT_TRUE(edge(0));
  EXPECT_TRUE(acknowledged(other));
  EXPECT_FALSE(acknowledged(one));
  EXPECT_TRUE(edge(0));
  EXPECT_TRUE(acknowledged(one));
  EXPECT_FALSE(edge(0));
}

TEST_F(Claim, AnAtomicRequestThatWasRefusedHasNothing) {
  const auto make = [&] { return claims_.begin(request_of(now_, {.kind = OpKind::resize, .name = "db", .length = 128 * MiB})); };
  const auto one = make();
  const auto other = make();
  EXPECT_TRUE(resized(128 * MiB));
  EXPECT_TRUE(refused(one));
  EXPECT_FALSE(refused(other));
  EXPECT_TRUE(acknowledged(other));
  EXPECT_FALSE(resized(128 * MiB));
}

TEST_F(Claim, WhatWasCutShortMayOnlyComeInAReplay) {
  const auto lost = begin(OpKind::discard, 0, 8);
  claims_.doubt(lost);
  EXPECT_FALSE(zeroes(0, 8));
  replaying_ = true;
  EXPECT_TRUE(zeroes(0, 8));
  EXPECT_FALSE(zeroes(0, 8)) << "once";
}

TEST_F(Claim, WhatMustBeThereIsWhatIsSure) {
  const auto one = begin(OpKind::discard, 0, 8, true);
  const auto other = begin(OpKind::discard, 0, 8, true);
  EXPECT_TRUE(zeroes(0, 8));
  EXPECT_TRUE(zeroes(0, 8));
  EXPECT_TRUE(acknowledged(other));
  EXPECT_EQ(marks_.acked, 1u) << "it may be that the second record is the other one's";
  EXPECT_TRUE(acknowledged(one));
  EXPECT_EQ(marks_.acked, 2u);
  EXPECT_EQ(marks_.durable, 2u);
}

TEST_F(Claim, VolumesAreApart) {
  begin(OpKind::discard, 0, 8);
  std::vector<model::Block> blocks;
  EXPECT_FALSE(claims_.claim(now_, {1, 1}, SummedRecord{{.head = head + 1, .first_block = 0, .count = 8, .zero = true}, {}}, true, false, blocks));
}

}  // namespace
}  // namespace brindle::sim
