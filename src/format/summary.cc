#include "format/summary.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"

namespace brindle {

namespace {

constexpr u64 entry_head_min = 4;      // four varints
constexpr u64 entry_head_max = 4 * 5;  // of 32 bits

const Error none{Code::corrupt, "no summary stands here"};

/// What stands before the tail, in blocks that are at least as many as it says.
Bytes entries_of(Bytes blocks, const SummaryTail& tail) {
  return blocks.subspan(blocks.size() - u64{tail.blocks} * block_size, tail.bytes);
}

u32 summary_crc(Bytes entries, SummaryTail tail) {
  tail.crc = 0;
  return crc32c(std::as_bytes(std::span(&tail, 1)), crc32c(entries));
}

}  // namespace

void SummaryBuilder::add(u64 number, u32 slot, u32 commands, u32 data_records, u32 data_blocks, Bytes records) {
  if (batches_++ == 0) {
    first_number_ = number;
    first_slot_ = slot;
  }
  entries_.put_varint(records.size());
  entries_.put_varint(commands);
  entries_.put_varint(data_records);
  entries_.put_varint(data_blocks);
  entries_.put_bytes(records);
}

u64 SummaryBuilder::blocks_with(u64 record_bytes) const {
  return div_up(entries_.size() + 2 * entry_head_max + record_bytes + sizeof(SummaryTail), block_size);
}

std::vector<std::byte> SummaryBuilder::encode(SummaryTail tail) const {
  tail.first_number = first_number_;
  tail.first_slot = first_slot_;
  tail.batches = batches_;
  return encode_summary(tail, entries_.bytes());
}

std::vector<std::byte> encode_summary(SummaryTail tail, Bytes entries) {
  tail.bytes = static_cast<u32>(entries.size());
  tail.blocks = static_cast<u32>(div_up(entries.size() + sizeof tail, block_size));
  std::vector<std::byte> blocks(u64{tail.blocks} * block_size);
  if (!entries.empty()) std::memcpy(blocks.data(), entries.data(), entries.size());
  tail.crc = summary_crc(entries, tail);
  std::memcpy(blocks.data() + blocks.size() - sizeof tail, &tail, sizeof tail);
  return blocks;
}

Result<SummaryTail> parse_summary_tail(Bytes blocks, u64& blocks_wanted) {
  blocks_wanted = 0;
  SummaryTail tail;
  if (blocks.size() < block_size) return none;
  std::memcpy(&tail, blocks.data() + blocks.size() - sizeof tail, sizeof tail);
  if (tail.magic != summary_magic || tail.blocks != div_up(u64{tail.bytes} + sizeof tail, block_size)) return none;
  blocks_wanted = tail.blocks;
  if (blocks_wanted * block_size > blocks.size()) return none;
  if (tail.crc != summary_crc(entries_of(blocks, tail), tail)) return none;
  return tail;
}

Status parse_summary_entries(Bytes blocks, const SummaryTail& tail, std::vector<SummaryEntry>& entries) {
  if (tail.batches > tail.bytes / entry_head_min) return none;
  Reader from(entries_of(blocks, tail));
  u64 number = tail.first_number;
  u64 slot = tail.first_slot;
  entries.resize(tail.batches);
  for (SummaryEntry& entry : entries) {
    const u64 record_bytes = from.get_varint();
    const u64 commands = from.get_varint();
    const u64 data_records = from.get_varint();
    const u64 data_blocks = from.get_varint();
    if (!from.ok() || record_bytes > from.left() || commands > record_bytes || data_records > record_bytes || data_blocks > record_bytes) {
      return none;
    }
    if (auto status = parse_records(from.get_bytes(record_bytes), static_cast<u32>(commands),
                                    static_cast<u32>(data_records), data_blocks, entry.records);
        !status) {
      return status;
    }
    const u64 record_blocks = div_up(sizeof(BatchHeader) + record_bytes, block_size);
    if (slot + record_blocks + data_blocks > slots_a_segment_max) return none;
    entry.number = number++;
    entry.slot = static_cast<u32>(slot);
    entry.record_blocks = static_cast<u32>(record_blocks);
    entry.data_blocks = static_cast<u32>(data_blocks);
    slot += record_blocks + data_blocks;
  }
  return from.done() ? Status{} : none;
}

Result<Summary> parse_summary(Bytes blocks, u64& blocks_wanted) {
  const auto tail = parse_summary_tail(blocks, blocks_wanted);
  if (!tail) return tail.error();
  Summary summary{*tail, {}};
  if (auto status = parse_summary_entries(blocks, *tail, summary.entries); !status) return status.error();
  return summary;
}

}  // namespace brindle
