#include "format/tables.h"

#include <algorithm>
#include <limits>

namespace brindle {

namespace {

constexpr u8 flag_packed = 1;
constexpr u8 flag_live = 2;
constexpr u8 flag_all_live = 4;
constexpr u8 segment_flags = flag_packed | flag_live | flag_all_live;
constexpr u8 flag_snapshot = 1;
constexpr u8 flag_protected = 2;

u64 bitmap_words(u64 bits) { return div_up(bits, 64); }

void put_bitmap(Writer& to, const std::vector<u64>& bitmap) { to.put_bytes(std::as_bytes(std::span(bitmap))); }

std::vector<u64> get_bitmap(Reader& from, u64 bits) {
  std::vector<u64> bitmap(bitmap_words(bits));
  for (u64& word : bitmap) word = from.get<u64>();
  return bitmap;
}

bool is_full(const std::vector<u64>& bitmap) {
  return !bitmap.empty() && std::all_of(bitmap.begin(), bitmap.end(), [](u64 word) { return word == ~u64{0}; });
}

}  // namespace

void encode_segment(Writer& to, const SegmentRecord& segment) {
  const bool all = is_full(segment.live);
  u8 flags = segment.packed ? flag_packed : 0;
  if (all) {
    flags |= flag_all_live;
  } else if (!segment.live.empty()) {
    flags |= flag_live;
  }
  to.put(segment.number);
  to.put(static_cast<u8>(segment.kind));
  to.put(flags);
  to.put_varint(segment.pieces.size());
  for (const SegmentPiece& piece : segment.pieces) {
    to.put_varint(piece.first_slot);
    to.put(piece.offset);
  }
  if ((flags & flag_live) != 0) put_bitmap(to, segment.live);
  if (segment.packed) put_bitmap(to, segment.present);
}

SegmentRecord decode_segment(Reader& from, u64 chunk_size) {
  SegmentRecord segment;
  segment.number = from.get<u64>();
  const auto kind = from.get<u8>();
  const auto flags = from.get<u8>();
  segment.kind = static_cast<SegmentKind>(kind);
  segment.packed = (flags & flag_packed) != 0;
  const bool both = (flags & flag_live) != 0 && (flags & flag_all_live) != 0;
  const bool known = kind <= 1 && (flags & ~segment_flags) == 0 && !both;
  if (!known || segment.number == 0 || segment.number > segment_number_max) from.fail();
  const u64 slots = known ? segment_slots(segment.kind, chunk_size) : 0;
  // A whole segment is one piece from slot 0 on; the pieces of a packed one go upward.
  const u64 pieces = from.get_varint();
  if (pieces == 0 || pieces > (segment.packed ? slots : 1)) from.fail();
  for (u64 i = 0; i < pieces && from.ok(); ++i) {
    const u64 first_slot = from.get_varint();
    const bool upward = i == 0 ? segment.packed || first_slot == 0 : first_slot > segment.pieces.back().first_slot;
    if (first_slot >= slots || !upward) from.fail();
    segment.pieces.push_back({static_cast<u32>(first_slot), from.get<u64>()});
  }
  if ((flags & flag_live) != 0 && from.ok()) segment.live = get_bitmap(from, slots);
  if (segment.packed && from.ok()) segment.present = get_bitmap(from, slots);
  if (!from.ok()) return {};
  if ((flags & flag_all_live) != 0) segment.live.assign(bitmap_words(slots), ~u64{0});
  return segment;
}

void encode_root(Writer& to, const RootRecord& root, size_t* map_at) {
  to.put_varint(root.id);
  to.put(static_cast<u8>(root.kind));
  to.put_varint(root.parent);
  to.put_varint(root.entry);
  to.put_varint(root.number);
  to.put(root.position);
  to.put_varint(root.size);
  to.put(root.height);
  to.put_varint(root.cursor);
  if (map_at != nullptr) *map_at = to.size();
  encode_page_ref(to, root.map);
}

RootRecord decode_root(Reader& from) {
  RootRecord root;
  root.id = from.get_varint();
  const auto kind = from.get<u8>();
  if (kind > static_cast<u8>(RootKind::dying)) from.fail();
  root.kind = static_cast<RootKind>(kind);
  root.parent = from.get_varint();
  root.entry = from.get_varint();
  root.number = from.get_varint();
  root.position = from.get<SlotName>();
  root.size = from.get_varint();
  root.height = from.get<u8>();
  root.cursor = from.get_varint();
  root.map = decode_page_ref(from);
  if (root.id == 0) from.fail();
  return root;
}

void encode_entry(Writer& to, const EntryRecord& entry) {
  to.put_varint(entry.id);
  to.put<u8>(static_cast<u8>((entry.is_snapshot ? flag_snapshot : 0) | (entry.is_protected ? flag_protected : 0)));
  to.put_varint(entry.root);
  to.put_varint(entry.volume);
  to.put_varint(entry.origin);
  to.put_varint(entry.created_ns);
  to.put_varint(entry.size);
  to.put_varint(entry.saved_count);
  to.put_string(entry.name);
  to.put(entry.uuid);
  encode_labels(to, entry.labels);
}

EntryRecord decode_entry(Reader& from) {
  EntryRecord entry;
  entry.id = from.get_varint();
  const auto flags = from.get<u8>();
  if ((flags & ~(flag_snapshot | flag_protected)) != 0) from.fail();
  entry.is_snapshot = (flags & flag_snapshot) != 0;
  entry.is_protected = (flags & flag_protected) != 0;
  entry.root = from.get_varint();
  entry.volume = from.get_varint();
  entry.origin = from.get_varint();
  entry.created_ns = from.get_varint();
  entry.size = from.get_varint();
  entry.saved_count = from.get_varint();
  entry.name = from.get_string(name_size_max);
  entry.uuid = from.get<Uuid>();
  entry.labels = decode_labels(from);
  if (entry.id == 0) from.fail();
  return entry;
}

void encode_gone(Writer& to, const GoneRecord& gone) {
  to.put_varint(gone.leaf);
  to.put<u8>(gone.all ? 1 : 0);
  if (!gone.all) to.put(gone.blocks);
}

GoneRecord decode_gone(Reader& from) {
  GoneRecord gone;
  gone.leaf = from.get_varint();
  const auto all = from.get<u8>();
  if (all > 1) from.fail();
  gone.all = all != 0;
  if (!gone.all) gone.blocks = from.get<decltype(gone.blocks)>();
  return gone;
}

void encode_debts(Writer& to, const DebtRecord& owed) {
  encode_page_ref(to, owed.page);
  to.put<u8>(owed.let_go ? 1 : 0);
  const size_t count = std::min(owed.debts.size(), debts_a_page_max);
  to.put_varint(count);
  for (size_t i = 0; i < count; ++i) {
    const Debt& debt = owed.debts[i];
    to.put_varint(debt.entry);
    to.put<u8>(debt.has_parent ? 1 : 0);
    if (!debt.has_parent) continue;
    to.put(debt.parent_position);
    to.put_varint(debt.parent_number);
  }
}

DebtRecord decode_debts(Reader& from) {
  DebtRecord owed;
  owed.page = decode_page_ref(from);
  const bool has_entries = owed.page.kind == PageKind::leaf || owed.page.kind == PageKind::patch;
  const auto let_go = from.get<u8>();
  if (let_go > 1 || !has_entries) from.fail();
  owed.let_go = let_go != 0;
  const u64 count = from.get_varint();
  if (count > debts_a_page_max) from.fail();
  for (u64 i = 0; i < count && from.ok(); ++i) {
    Debt debt;
    const u64 entry = from.get_varint();
    if (entry > debt_of_base || (entry == debt_of_base && owed.page.kind != PageKind::patch)) from.fail();
    debt.entry = static_cast<u32>(entry);
    const auto has_parent = from.get<u8>();
    if (has_parent > 1) from.fail();
    debt.has_parent = has_parent != 0;
    if (debt.has_parent) {
      debt.parent_position = from.get<SlotName>();
      debt.parent_number = from.get_varint();
    }
    owed.debts.push_back(debt);
  }
  return owed;
}

void encode_directory_entry(Writer& to, const DirectoryEntry& entry) {
  to.put(static_cast<u8>(entry.table));
  to.put_varint(entry.key);
  to.put_varint(entry.place.offset);
  to.put_varint(entry.place.length);
  to.put(entry.place.crc);
}

DirectoryEntry decode_directory_entry(Reader& from) {
  DirectoryEntry entry;
  const auto table = from.get<u8>();
  if (table >= table_count) from.fail();
  entry.table = static_cast<TableId>(table);
  entry.key = from.get_varint();
  entry.place.offset = from.get_varint();
  const u64 length = from.get_varint();
  if (length > std::numeric_limits<u32>::max()) from.fail();
  entry.place.length = static_cast<u32>(length);
  entry.place.crc = from.get<u32>();
  return entry;
}

std::vector<std::byte> encode_checkpoint_root(const CheckpointRoot& root) {
  Writer to;
  to.put(root_magic);
  to.put(root.number);
  to.put(root.pool);
  to.put_varint(root.next_root);
  to.put_varint(root.next_entry);
  to.put_varint(root.chunks_written);
  to.put_varint(root.punched.size());
  put_bitmap(to, root.punched);
  to.put_varint(root.directory.size());
  for (const Place& place : root.directory) {
    to.put(place.offset);
    to.put(place.length);
    to.put(place.crc);
  }
  return to.take();
}

Result<CheckpointRoot> decode_checkpoint_root(Bytes bytes) {
  Reader from(bytes);
  CheckpointRoot root;
  const auto magic = from.get<u32>();
  root.number = from.get<u64>();
  root.pool = from.get<Uuid>();
  root.next_root = from.get_varint();
  root.next_entry = from.get_varint();
  root.chunks_written = from.get_varint();
  const u64 words = from.get_varint();
  if (words > from.left() / sizeof(u64)) from.fail();
  if (from.ok()) root.punched = get_bitmap(from, words * 64);
  for (u64 count = from.get_varint(); count > 0 && from.ok(); --count) {
    Place place;
    place.offset = from.get<u64>();
    place.length = from.get<u32>();
    place.crc = from.get<u32>();
    root.directory.push_back(place);
  }
  if (magic != root_magic || !from.done()) return Error{Code::corrupt, "the checkpoint's root makes no sense"};
  return root;
}

}  // namespace brindle
