// A segment's summary whose checksum is right, whatever is in it.
#include <cstring>
#include <vector>

#include "format/summary.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  const Bytes input = input_bytes(data, size);
  u64 wanted = 0;
  static_cast<void>(parse_summary(input, wanted).ok());
  // The input is the tail, and then the entries.
  if (size < sizeof(SummaryTail)) return 0;
  SummaryTail tail;
  std::memcpy(&tail, input.data(), sizeof tail);
  tail.magic = summary_magic;
  const std::vector<std::byte> blocks = encode_summary(tail, input.subspan(sizeof tail));
  const auto summary = parse_summary(blocks, wanted);
  must(wanted * block_size == blocks.size());
  if (!summary) return 0;
  must(summary->entries.size() == tail.batches);
  u64 number = tail.first_number;
  u64 slot = tail.first_slot;
  for (const SummaryEntry& entry : summary->entries) {
    must(entry.number == number++ && entry.slot == slot && entry.record_blocks > 0);
    slot += entry.record_blocks + entry.data_blocks;
  }
  return 0;
}
