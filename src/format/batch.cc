#include "format/batch.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crc32c.h"
#include "base/planted.h"

namespace brindle {

namespace {

constexpr u8 write_kind = 0;
constexpr u8 zero_kind = 1;

u32 batch_crc(Bytes header_and_records) {
  BatchHeader header;
  std::memcpy(&header, header_and_records.data(), sizeof header);
  header.crc = 0;
  return crc32c(header_and_records.subspan(sizeof header), crc32c(std::as_bytes(std::span(&header, 1))));
}

}  // namespace

void encode_data_record(Writer& to, RootId head, u64 first_block, u64 count, bool zero) {
  to.put(zero ? zero_kind : write_kind);
  to.put_varint(head);
  to.put_varint(first_block);
  to.put_varint(count);
}

void seal_batch(MutBytes records, u32 record_bytes) {
  const u32 crc = batch_crc(records.first(sizeof(BatchHeader) + record_bytes));
  std::memcpy(records.data() + offsetof(BatchHeader, crc), &crc, sizeof crc);
}

Result<BatchHeader> parse_batch_header(Bytes blocks) {
  static const Error none{Code::corrupt, "no batch stands here"};
  if (blocks.size() < block_size) return none;
  BatchHeader header;
  std::memcpy(&header, blocks.data(), sizeof header);
  const u64 length = sizeof header + header.record_bytes;
  if (header.magic != batch_magic || header.record_blocks != div_up(length, block_size)) return none;
  if (u64{header.record_blocks} * block_size > blocks.size()) return none;
  if (header.crc != batch_crc(blocks.first(length)) && !planted(Plant::batch_unchecked)) return none;
  return header;
}

Status parse_records(Bytes bytes, u32 commands, u32 data_records, u64 data_blocks, BatchRecords& records) {
  records.commands.clear();
  records.data.clear();
  records.crcs.clear();
  Reader from(bytes);
  u64 blocks = 0;
  for (u32 i = 0; i < commands; ++i) {
    auto command = decode_command(from);
    if (!command) return command.error();
    records.commands.push_back(std::move(*command));
  }
  for (u32 i = 0; i < data_records; ++i) {
    DataRecord record;
    const auto kind = from.get<u8>();
    record.head = from.get_varint();
    record.first_block = from.get_varint();
    record.count = from.get_varint();
    record.zero = kind == zero_kind;
    const bool sane = kind <= zero_kind && record.first_block <= volume_size_max / block_size &&
                      record.count <= volume_size_max / block_size;
    if (!from.ok() || !sane) return Error{Code::corrupt, "a data record makes no sense"};
    if (!record.zero) {
      const Bytes crcs = from.get_bytes(record.count * sizeof(u32));
      if (!from.ok()) return Error{Code::corrupt, "a data record is cut short"};
      records.crcs.resize(blocks + record.count);
      if (record.count > 0) std::memcpy(records.crcs.data() + blocks, crcs.data(), crcs.size());
      blocks += record.count;
    }
    records.data.push_back(record);
  }
  if (!from.done() || blocks != data_blocks) return Error{Code::corrupt, "a batch's records do not add up"};
  return {};
}

bool data_is_whole(const BatchRecords& records, Bytes data) {
  u64 at = 0;
  return std::all_of(records.crcs.begin(), records.crcs.end(), [&](u32 crc) {
    return crc32c(data.subspan(std::exchange(at, at + block_size), block_size)) == crc;
  });
}

Result<ParsedBatch> parse_batch(Bytes blocks) {
  auto header = parse_batch_header(blocks);
  if (!header) return header.error();
  ParsedBatch batch{*header, {}};
  const Bytes bytes = blocks.subspan(sizeof(BatchHeader), header->record_bytes);
  if (auto status = parse_records(bytes, header->commands, header->data_records, header->data_blocks, batch.records);
      !status) {
    return status.error();
  }
  return batch;
}

}  // namespace brindle
