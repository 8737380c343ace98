// format_test.cc: the bytes that docs/format.md promises, and that nonsense is refused.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "base/crc32c.h"
#include "base/rng.h"
#include "format/batch.h"
#include "format/superblock.h"
#include "format/segments.h"

namespace brindle {
namespace {

std::string hex(Bytes bytes) {
  std::string text;
  for (std::byte byte : bytes) {
    text += "0123456789abcdef"[static_cast<u8>(byte) >> 4];
    text += "0123456789abcdef"[static_cast<u8>(byte) & 15];
  }
  return text;
}

const PageRef some_page{SlotName::of(3, 5), 7, PageKind::leaf, 300, 0x11223344};
const std::string some_page_hex = "0500030000000000" "0107000000000000" "2c010000" "44332211";
const Uuid some_uuid{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
const std::string uuid_hex = "0102030405060708090a0b0c0d0e0f10";

// --- exact bytes ----------------------------------------------------------------------------------------------------

TEST(Format, SuperblockFieldsStandWhereThePageSays) {
  Superblock super;
  super.uuid = some_uuid;
  super.chunk_size = chunk_size_min;
  super.checkpoint_number = 9;
  super.root_length = 77;
  super.log_slot = 5;
  super.flushed_number = 10;
  seal_superblock(super);
  const Bytes bytes = std::as_bytes(std::span(&super, 1));
  EXPECT_EQ(bytes.size(), 4096u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), 8), "BRINDLE1");
  EXPECT_EQ(hex(bytes.subspan(8, 4)), "01000000");
  EXPECT_EQ(hex(bytes.subspan(40, 16)), uuid_hex);
  EXPECT_EQ(hex(bytes.subspan(56, 8)), "0000080000000000");
  EXPECT_EQ(hex(bytes.subspan(96, 8)), "0900000000000000");
  EXPECT_EQ(hex(bytes.subspan(112, 4)), "4d000000");
  EXPECT_EQ(hex(bytes.subspan(136, 4)), "05000000");
  EXPECT_EQ(hex(bytes.subspan(144, 8)), "0a00000000000000");
  std::vector<std::byte> zeroed(bytes.begin(), bytes.end());
  std::fill_n(zeroed.begin() + 12, 4, std::byte{0});
  EXPECT_EQ(crc32c(zeroed), super.crc);
  EXPECT_TRUE(parse_superblock(bytes));
}

TEST(Format, PagesAreTheBytesThatThePageSays) {
  Writer ref;
  encode_page_ref(ref, some_page);
  EXPECT_EQ(hex(ref.bytes()), some_page_hex);

  LeafData leaf;
  for (u32 i = 0; i < 3; ++i) leaf.names[4 + i] = SlotName::of(1, 8 + i);
  for (u32 i = 0; i < 3; ++i) leaf.crcs[4 + i] = 0xa0 + i;
  EXPECT_EQ(hex(encode_leaf(6, leaf)), "5047" "01" "00" "01000000" "0600000000000000"
                                       "0400" "0300" "0800010000000000" "a0000000" "a1000000" "a2000000");
  PatchData patch;
  patch.base = some_page;
  patch.has[0] = 0b101;
  patch.names = {SlotName::of(2, 1), SlotName{}};
  patch.crcs = {0xbb, 0};
  EXPECT_EQ(hex(encode_patch(6, patch)), "5047" "02" "00" "02000000" "0600000000000000" + some_page_hex + "05" +
                                             std::string(126, '0') + "0100020000000000" "0000000000000000" "bb000000"
                                             "00000000");
  NodeData node{};
  node[1] = some_page;
  EXPECT_EQ(hex(encode_node(6, node)), "5047" "03" "00" "01000000" "0600000000000000" "02" + std::string(62, '0') + some_page_hex);
}

TEST(Format, TablesAreTheBytesThatThePageSays) {
  Writer segment;
  SegmentRecord record{.number = 5, .pieces = {{0, 0x80000}}};
  record.live = SlotSet::of({2, 0});
  encode_segment(segment, record);
  EXPECT_EQ(hex(segment.bytes()), "0500000000000000" "00" "02" "01" "00" "0000080000000000" "0200000000000000" "0000000000000000");

  Writer changes;
  encode_change(changes, {.number = 4, .kind = SegmentChange::Kind::gone, .record = {}, .live = {}, .dead = {}}, 0);
  encode_change(changes, {.number = 5, .kind = SegmentChange::Kind::whole, .record = record, .live = {}, .dead = {}}, 4);
  encode_change(changes, {.number = 7, .kind = SegmentChange::Kind::slots, .record = {}, .live = {{3, 1}}, .dead = {{10, 3}}}, 5);
  EXPECT_EQ(hex(changes.bytes()), "10" "05" + hex(segment.bytes()) + "0a" "02" "0e" "19" "01");

  Writer root;
  encode_root(root, {.id = 300, .kind = RootKind::dying, .parent = 1, .entry = 0, .number = 4, .position = SlotName::of(1, 2),
                     .size = 4096, .height = 1, .cursor = 9, .map = some_page});
  EXPECT_EQ(hex(root.bytes()), "ac02" "03" "01" "00" "04" "0200010000000000" "8020" "01" "09" + some_page_hex);

  Writer entry;
  encode_entry(entry, {.id = 2, .is_snapshot = true, .is_protected = true, .root = 3, .volume = 1, .origin = 0, .created_ns = 5,
                       .size = 4096, .saved_count = 0, .name = "ab", .uuid = some_uuid, .labels = {{"k", "v"}}});
  EXPECT_EQ(hex(entry.bytes()), "02" "03" "03" "01" "00" "05" "8020" "00" "026162" + uuid_hex + "01" "016b" "0176");

  Writer gone;
  encode_gone(gone, {.leaf = 65, .all = true});
  encode_gone(gone, {.leaf = 66, .all = false, .blocks = {1}});
  EXPECT_EQ(hex(gone.bytes()), "4101" "4200" "01" + std::string(126, '0'));

  Writer directory;
  encode_directory_entry(directory, {TableId::gone, 200, {0x1000, 130, 0x99}});
  EXPECT_EQ(hex(directory.bytes()), "03" "c801" "8020" "8201" "99000000");

  CheckpointRoot checkpoint;
  checkpoint.number = 8;
  checkpoint.pool = some_uuid;
  checkpoint.next_root = 2;
  checkpoint.next_entry = 3;
  checkpoint.chunks_written = 4;
  checkpoint.punched = {1};
  checkpoint.directory = {{0x1000, 6, 7}};
  EXPECT_EQ(hex(encode_checkpoint_root(checkpoint)), "524f4f54" "0800000000000000" + uuid_hex + "02" "03" "04" "01"
                                                     "0100000000000000" "01" "0010000000000000" "06000000" "07000000");
}

TEST(Format, CommandsAreTheBytesThatThePageSays) {
  const NewEntry made{4, 5, "x", some_uuid};
  const std::string made_hex = "04" "05" "0178" + uuid_hex;
  const auto encoded = [](const Command& command) {
    Writer to;
    encode_command(to, command);
    return hex(to.bytes());
  };
  EXPECT_EQ(encoded(CreateVolume{made, 4096, 7, {}}), "00" + made_hex + "8020" "07" "00");
  EXPECT_EQ(encoded(CreateSnapshots{{{9, made}}, 7, {}}), "01" "01" "09" + made_hex + "07" "00");
  EXPECT_EQ(encoded(CreateClones{9, 0, {made}, 7, {}}), "02" "09" "00" "01" + made_hex + "07" "00");
  EXPECT_EQ(encoded(RollBack{{{1, 2, made}}, 7}), "03" "01" "01" "02" + made_hex + "07");
  EXPECT_EQ(encoded(RemoveEntries{{1, 2}}), "04" "02" "01" "02");
  EXPECT_EQ(encoded(ResizeVolume{1, 4096, 6}), "05" "01" "8020" "06");
  EXPECT_EQ(encoded(DiscardLeaves{1, 2, 3, 4}), "06" "01" "02" "03" "04");
  EXPECT_EQ(encoded(RenameEntry{1, "y"}), "07" "01" "0179");
  EXPECT_EQ(encoded(ProtectEntry{1, true}), "08" "01" "01");
  EXPECT_EQ(encoded(LabelEntry{1, {{"k", ""}}}), "09" "01" "01" "016b" "00");
}

std::vector<std::byte> some_batch() {
  Writer records;
  encode_command(records, RemoveEntries{{1, 2}});
  encode_data_record(records, 3, 10, 2, false);
  records.put<u32>(0xaa);
  records.put<u32>(0xbb);
  encode_data_record(records, 3, 20, 5, true);
  BatchHeader header;
  header.number = 6;
  header.record_bytes = static_cast<u32>(records.size());
  header.record_blocks = 1;
  header.data_blocks = 2;
  header.commands = 1;
  header.data_records = 2;
  std::vector<std::byte> block(block_size);
  std::memcpy(block.data(), &header, sizeof header);
  std::memcpy(block.data() + sizeof header, records.bytes().data(), records.size());
  seal_batch(block, header.record_bytes);
  return block;
}

TEST(Format, ABatchIsTheBytesThatThePageSays) {
  const auto block = some_batch();
  EXPECT_EQ(hex(Bytes(block).first(4)), "42544348");
  EXPECT_EQ(hex(Bytes(block).subspan(32, 8)), "0600000000000000");
  EXPECT_EQ(hex(Bytes(block).subspan(52, 12)), "14000000" "01000000" "02000000");
  EXPECT_EQ(hex(Bytes(block).subspan(96, 8)), "01000000" "02000000");
  EXPECT_EQ(hex(Bytes(block).subspan(128, 20)), "04020102" "00030a02" "aa000000" "bb000000" "01031405");
  const auto parsed = parse_batch(block);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->records.commands.size(), 1u);
  ASSERT_EQ(parsed->records.data.size(), 2u);
  EXPECT_EQ(parsed->records.crcs, (std::vector<u32>{0xaa, 0xbb}));
  EXPECT_TRUE(parsed->records.data[1].zero);
}

// --- there and back -------------------------------------------------------------------------------------------------

TEST(Format, LeavesComeBackInEitherEncoding) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    LeafData leaf;
    const u64 holes = rng.below(4);
    for (u32 i = 0; i < leaf_blocks; ++i) {
      if (holes > 0 && rng.below(4) < holes) continue;
      const bool goes_on = i > 0 && leaf.names[i - 1] && leaf.names[i - 1].slot() < 0xffff && !rng.one_in(seed % 9 + 1);
      leaf.names[i] = goes_on ? leaf.names[i - 1].plus(1) : SlotName::of(rng.between(1, 1000), rng.between(1, 0xffff));
      leaf.crcs[i] = static_cast<u32>(rng.next());
    }
    const auto bytes = encode_leaf(seed, leaf);
    EXPECT_LE(bytes.size(), page_length_max);
    const auto back = decode_leaf(bytes, seed);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->names, leaf.names);
    EXPECT_EQ(back->crcs, leaf.crcs);
    EXPECT_FALSE(decode_leaf(bytes, seed + 1)) << "another birth";
    EXPECT_FALSE(decode_patch(bytes, seed));
    EXPECT_FALSE(decode_node(bytes, seed));
  }
}

TEST(Format, EveryTruncationIsRefused) {
  LeafData leaf;
  for (u32 i = 0; i < 40; ++i) leaf.names[i * 2] = SlotName::of(2, i + 1);
  PatchData patch;
  patch.base = some_page;
  patch.has[1] = 0xff;
  patch.names.assign(8, SlotName::of(1, 1));
  patch.crcs.assign(8, 3);
  NodeData node{};
  for (u32 i = 0; i < 20; ++i) node[i * 3] = some_page;
  for (const auto& bytes : {encode_leaf(6, leaf), encode_patch(6, patch), encode_node(6, node)}) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Bytes part = Bytes(bytes).first(size);
      EXPECT_FALSE(decode_leaf(part, 6));
      EXPECT_FALSE(decode_patch(part, 6));
      EXPECT_FALSE(decode_node(part, 6));
    }
    auto longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode_leaf(longer, 6) || decode_patch(longer, 6) || decode_node(longer, 6));
  }
  const auto batch = some_batch();
  for (size_t size = 0; size < block_size; ++size) EXPECT_FALSE(parse_batch(Bytes(batch).first(size)));
}

// --- nonsense -------------------------------------------------------------------------------------------------------

TEST(Format, NonsenseIsRefusedAndNotBent) {
  const auto segment = [](const std::function<void(SegmentRecord&)>& change) {
    SegmentRecord record{.number = 5, .packed = true, .pieces = {{1, 0x80000}, {7, 0x90000}}};
    record.live = record.present = SlotSet::of({1, 1});
    change(record);
    Writer to;
    encode_segment(to, record);
    Reader from(to.bytes());
    const SegmentRecord back = decode_segment(from, chunk_size_min);
    return from.ok() && back.number != 0;
  };
  EXPECT_TRUE(segment([](SegmentRecord&) {}));
  EXPECT_FALSE(segment([](SegmentRecord& x) { x.number = 0; }));
  EXPECT_FALSE(segment([](SegmentRecord& x) { x.number = segment_number_max + 1; }));
  EXPECT_FALSE(segment([](SegmentRecord& x) { x.kind = static_cast<SegmentKind>(2); }));
  EXPECT_FALSE(segment([](SegmentRecord& x) { x.pieces.clear(); }));
  EXPECT_FALSE(segment([](SegmentRecord& x) { std::swap(x.pieces[0], x.pieces[1]); }));
  EXPECT_FALSE(segment([](SegmentRecord& x) { x.pieces[1].first_slot = 128; }));
  EXPECT_FALSE(segment([](SegmentRecord& x) { x.packed = false; })) << "a whole segment has one piece";

  const auto ref = [](const PageRef& page) {
    Writer to;
    encode_page_ref(to, page);
    Reader from(to.bytes());
    static_cast<void>(decode_page_ref(from));
    return from.ok();
  };
  EXPECT_TRUE(ref(some_page));
  EXPECT_TRUE(ref({})) << "none";
  EXPECT_FALSE(ref({SlotName{}, 7, PageKind::leaf, 300, 1}));
  EXPECT_FALSE(ref({SlotName::of(1, 1), 7, static_cast<PageKind>(4), 300, 1}));
  EXPECT_FALSE(ref({SlotName::of(1, 1), 7, PageKind::none, 300, 1}));
  EXPECT_FALSE(ref({SlotName::of(1, 1), 7, PageKind::leaf, 0, 1}));
  EXPECT_FALSE(ref({SlotName::of(1, 1), 7, PageKind::leaf, page_length_max + 1, 1}));

  // A leaf whose run goes beyond its segment.
  LeafData leaf;
  leaf.names[0] = SlotName::of(1, 0xffff);
  auto bytes = encode_leaf(6, leaf);
  EXPECT_TRUE(decode_leaf(bytes, 6));
  bytes[18] = std::byte{2};
  bytes.resize(bytes.size() + 4);
  EXPECT_FALSE(decode_leaf(bytes, 6));

  Writer directory;
  encode_directory_entry(directory, {static_cast<TableId>(table_count), 1, {}});
  Reader from(directory.bytes());
  static_cast<void>(decode_directory_entry(from));
  EXPECT_FALSE(from.ok());
}

TEST(Format, ACountCannotAskForMoreThanThereIs) {
  for (int kind = 0; kind < 10; ++kind) {
    Writer to;
    to.put(static_cast<u8>(kind));
    to.put_varint(u64{1} << 40);
    to.put_varint(u64{1} << 40);
    Reader from(to.bytes());
    EXPECT_FALSE(decode_command(from)) << kind;
  }
}

TEST(Format, RandomBytesAreRefused) {
  for (u64 seed = 1; seed <= 3000; ++seed) {
    Rng rng(seed);
    std::vector<std::byte> bytes(rng.between(1, 600));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.one_in(3) ? 0 : rng.next());
    EXPECT_FALSE(decode_leaf(bytes, 1) || decode_patch(bytes, 1) || decode_node(bytes, 1));
    EXPECT_FALSE(decode_checkpoint_root(bytes));
    Reader command(bytes);
    static_cast<void>(decode_command(command).ok());
    Reader segment(bytes);
    static_cast<void>(decode_segment(segment, chunk_size_max));
    Reader entry(bytes);
    static_cast<void>(decode_entry(entry));
  }
}

}  // namespace
}  // namespace brindle
