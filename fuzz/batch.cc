// A batch whose checksum is right, whatever is in it.
#include <algorithm>
#include <cstring>
#include <vector>

#include "format/batch.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  const Bytes input = input_bytes(data, size);
  static_cast<void>(parse_batch(input).ok());
  if (size < sizeof(BatchHeader)) return 0;
  std::vector<std::byte> blocks(round_up(size, block_size));
  std::memcpy(blocks.data(), input.data(), size);
  BatchHeader header;
  std::memcpy(&header, blocks.data(), sizeof header);
  header.magic = batch_magic;
  header.record_bytes = static_cast<u32>(std::min<u64>(header.record_bytes, size - sizeof header));
  header.record_blocks = static_cast<u32>(div_up(sizeof header + header.record_bytes, block_size));
  std::memcpy(blocks.data(), &header, sizeof header);
  seal_batch(blocks, header.record_bytes);
  const auto batch = parse_batch(blocks);
  if (!batch) return 0;
  must(batch->records.crcs.size() == batch->header.data_blocks);
  must(batch->records.commands.size() == batch->header.commands);
  return 0;
}
