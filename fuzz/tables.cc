// Buckets of every table, the directory and the root.
#include "format/segments.h"
#include "fuzz/input.h"

namespace {

using namespace brindle;

/// Changes, and a table that they apply to: what is read is written the same, and to apply it twice is to apply it once.
void fuzz_changes(Bytes bytes, u64 chunk_size) {
  Reader from(bytes);
  Writer to;
  u64 last = 0;
  while (from.left() > 0 && from.ok()) {
    const SegmentChange change = decode_change(from, last, chunk_size);
    must(from.ok() == (change.number != 0));
    if (!from.ok()) break;
    must(change.number > last);
    encode_change(to, change, last);
    last = change.number;
  }
  SegmentTable table(chunk_size);
  const bool applied = table.apply({}, bytes).ok();
  const std::vector<u64> numbers = table.numbers();
  if (!applied) return;
  must(table.apply({}, to.bytes()).ok());
  must(table.numbers() == numbers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  if (size < 1) return 0;
  if (data[0] >= 240) {
    Reader from(input_bytes(data + 1, size - 1));
    const DebtRecord owed = decode_debts(from);
    Writer to;
    if (from.ok()) encode_debts(to, owed);
    return 0;
  }
  if (data[0] >= 200) {
    fuzz_changes(input_bytes(data + 1, size - 1), chunk_size_min << (data[0] % 5));
    return 0;
  }
  const u8 kind = data[0] % 6;
  const u64 chunk_size = chunk_size_min << (data[0] / 6 % 5);
  const Bytes bytes = input_bytes(data + 1, size - 1);
  if (kind == 5) {
    const auto root = decode_checkpoint_root(bytes);
    if (root) must(decode_checkpoint_root(encode_checkpoint_root(*root)).ok());
    return 0;
  }
  Reader from(bytes);
  while (from.left() > 0 && from.ok()) {
    Writer to;
    switch (kind) {
      case 0: {
        const SegmentRecord record = decode_segment(from, chunk_size);
        must(from.ok() == (record.number != 0));
        if (from.ok()) encode_segment(to, record);
        break;
      }
      case 1: {
        const RootRecord record = decode_root(from);
        if (from.ok()) encode_root(to, record);
        break;
      }
      case 2: {
        const EntryRecord record = decode_entry(from);
        if (from.ok()) encode_entry(to, record);
        break;
      }
      case 3: {
        const GoneRecord record = decode_gone(from);
        if (from.ok()) encode_gone(to, record);
        break;
      }
      default: {
        const DirectoryEntry record = decode_directory_entry(from);
        if (from.ok()) encode_directory_entry(to, record);
      }
    }
  }
  return 0;
}
