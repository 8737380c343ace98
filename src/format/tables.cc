#include "format/tables.h"

#include <algorithm>
#include <limits>

namespace brindle {

namespace {

constexpr u8 flag_snapshot = 1;
constexpr u8 flag_protected = 2;

}  // namespace

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
  to.put_words(root.punched);
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
  root.punched = from.get_words(from.get_varint());
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
