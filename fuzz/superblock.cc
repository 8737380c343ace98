// What is read as a superblock is written back as the same bytes.
#include <algorithm>
#include <cstring>
#include <vector>

#include "format/superblock.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  std::vector<std::byte> block(block_size);
  const Bytes input = input_bytes(data, size);
  std::memcpy(block.data(), input.data(), std::min(input.size(), block.size()));
  static_cast<void>(parse_superblock(input).ok());
  Superblock superblock;
  std::memcpy(&superblock, block.data(), sizeof superblock);
  superblock.magic = superblock_magic;
  superblock.version = format_version;
  seal_superblock(superblock);
  const auto parsed = parse_superblock(std::as_bytes(std::span(&superblock, 1)));
  if (parsed) must(std::memcmp(&*parsed, &superblock, sizeof superblock) == 0);
  return 0;
}
