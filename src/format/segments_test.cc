// segments_test.cc: what is told of changes comes back, nonsense does not, and changes lead to the newest state from any before.
#include "format/segments.h"

#include <gtest/gtest.h>

#include "base/bitmap.h"

namespace brindle {
namespace {

constexpr u64 chunk_size = chunk_size_min;
constexpr u64 slots = segment_slots(SegmentKind::data, chunk_size);

SegmentRecord whole_segment(u64 number, const std::vector<u64>& live) {
  SegmentRecord record;
  record.number = number;
  record.pieces = {{0, number * chunk_size}};
  record.live = SlotSet(slots);
  for (u64 slot : live) record.live.set(slot, true);
  return record;
}

SegmentChange whole(u64 number, const std::vector<u64>& live) {
  return {.number = number, .kind = SegmentChange::Kind::whole, .record = whole_segment(number, live), .live = {}, .dead = {}};
}

SegmentChange runs(u64 number, std::vector<SlotRun> live, std::vector<SlotRun> dead) {
  return {.number = number, .kind = SegmentChange::Kind::slots, .record = {}, .live = std::move(live), .dead = std::move(dead)};
}

SegmentChange gone(u64 number) { return {.number = number, .kind = SegmentChange::Kind::gone, .record = {}, .live = {}, .dead = {}}; }

std::vector<std::byte> encoded(const std::vector<SegmentChange>& changes) {
  Writer to;
  u64 last = 0;
  for (const SegmentChange& change : changes) {
    encode_change(to, change, last);
    last = change.number;
  }
  return to.take();
}

std::vector<std::byte> bucket(const std::vector<SegmentRecord>& records) {
  Writer to;
  for (const SegmentRecord& record : records) encode_segment(to, record);
  return to.take();
}

std::string told(const std::vector<SegmentRecord>& records, const std::vector<std::vector<std::byte>>& changes) {
  SegmentTable table(chunk_size);
  if (const Status status = table.load(0, {}, bucket(records)); !status) return status.error().message;
  for (const auto& bytes : changes) {
    if (const auto applied = table.apply({}, bytes); !applied) return applied.error().message;
  }
  if (const Status status = table.complete(); !status) return status.error().message;
  std::string text;
  for (u64 number : table.numbers()) {
    text += std::to_string(number) + ":";
    const SegmentRecord& record = table.entries().at(number).record;
    for (u64 slot = 0; slot < slots; ++slot) {
      if (record.live.has(slot)) text += " " + std::to_string(slot);
    }
    text += ";";
  }
  return text;
}

TEST(Segments, AChangeComesBack) {
  const std::vector<SegmentChange> all{gone(1), whole(3, {5, 6}), runs(70, {{0, 1}, {4, 60}, {100, 28}}, {{1, 3}, {64, 1}}),
                                       gone(segment_number_max)};
  const auto bytes = encoded(all);
  Reader from(bytes);
  u64 last = 0;
  for (const SegmentChange& change : all) {
    const SegmentChange back = decode_change(from, last, chunk_size);
    ASSERT_EQ(back.number, change.number);
    EXPECT_EQ(back.kind, change.kind);
    EXPECT_EQ(encoded({back}), encoded({change}));
    last = back.number;
  }
  EXPECT_TRUE(from.done());
  EXPECT_LE(encoded({runs(70, {}, {{3, 1}, {30, 1}})}).size(), 6u) << "a byte or two for each block that died";
}

TEST(Segments, NonsenseInChangesIsRefused) {
  const auto refused = [](const std::vector<std::byte>& bytes) {
    return told({}, {bytes}) == "the changes of the segment table make no sense";
  };
  const auto good = encoded({whole(3, {5}), runs(7, {{9, 2}}, {{11, 1}})});
  for (size_t length = 1; length < good.size(); ++length) {
    const bool at_an_end = length == encoded({whole(3, {5})}).size();
    EXPECT_EQ(refused({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)}), !at_an_end) << length;
  }
  const auto raw = [](const std::vector<u64>& numbers) {
    Writer to;
    for (u64 number : numbers) to.put_varint(number);
    return to.take();
  };
  EXPECT_TRUE(refused(raw({0})));                                  // the number of the one before
  EXPECT_TRUE(refused(raw({7})));                                  // of no kind
  EXPECT_TRUE(refused(raw({(segment_number_max + 1) << 2})));      // beyond all numbers
  EXPECT_TRUE(refused(raw({4 | 2, 0})));                           // of no slot
  EXPECT_TRUE(refused(raw({4 | 2, 1, ~u64{0}})));                  // beyond all slots
  EXPECT_TRUE(refused(raw({4 | 2, 1, 1, ~u64{0}})));               // more than there can be
  const u64 most = segment_slots(SegmentKind::pages, chunk_size);
  EXPECT_TRUE(refused(raw({4 | 2, 1, (most - 1) << 2 | 1, 0})));   // half beyond
  EXPECT_FALSE(refused(raw({4 | 2, 1, (most - 1) << 2})));
  EXPECT_TRUE(refused(raw({4 | 2, 2, (most - 1) << 2, 0})));
  auto other = encoded({whole(3, {5})});
  other[0] = std::byte{4 << 2 | 1};
  EXPECT_TRUE(refused(other));                                     // a record of another number
}

TEST(Segments, ChangesLeadToTheNewestStateFromAnyBefore) {
  // What four checkpoints in a row told, and what the bucket was at each.
  const std::vector<std::vector<std::byte>> changes{
      encoded({whole(2, {1, 2, 3})}),
      encoded({runs(1, {}, {{4, 2}}), runs(2, {{7, 1}}, {{2, 1}}), whole(3, {1})}),
      encoded({gone(1), runs(2, {}, {{1, 1}, {3, 1}})}),
      encoded({runs(2, {{9, 2}}, {{7, 1}}), gone(3)}),
  };
  const std::vector<std::vector<SegmentRecord>> buckets{
      {whole_segment(1, {4, 5, 6})},
      {whole_segment(1, {4, 5, 6}), whole_segment(2, {1, 2, 3})},
      {whole_segment(1, {6}), whole_segment(2, {1, 3, 7}), whole_segment(3, {1})},
      {whole_segment(2, {7}), whole_segment(3, {1})},
      {whole_segment(2, {9, 10})},
  };
  for (const auto& at : buckets) EXPECT_EQ(told(at, changes), "2: 9 10;");
  EXPECT_EQ(told(buckets[2], {changes.begin() + 2, changes.end()}), "2: 9 10;");
  EXPECT_EQ(told(buckets[3], {changes.begin() + 1, changes.end()}), "2: 9 10;");
}

TEST(Segments, ATableThatDoesNotFitItsChangesIsRefused) {
  EXPECT_EQ(told({whole_segment(1, {4})}, {encoded({runs(2, {}, {{4, 1}})})}), "a segment changed that is not in the segment table");
  EXPECT_EQ(told({whole_segment(1, {4})}, {encoded({runs(1, {{slots, 1}}, {})})}), "a slot changed that its segment does not have");
  EXPECT_EQ(told({whole_segment(1, {4}), whole_segment(1, {4})}, {}), "a segment stands twice in the segment table");
  EXPECT_EQ(told({whole_segment(64, {4})}, {}), "a segment stands in the wrong bucket");
  // One in which nothing lives has no bitmap at all.
  SegmentTable table(chunk_size);
  ASSERT_TRUE(table.load(0, {}, bucket({whole_segment(1, {4})})).ok());
  ASSERT_TRUE(table.apply({}, encoded({runs(1, {}, {{4, 1}})})).ok());
  EXPECT_TRUE(table.entries().at(1).record.live.empty());
}

}  // namespace
}  // namespace brindle
