#include "format/superblock.h"

#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "format/label.h"
#include "format/name.h"

namespace brindle {

namespace {

u32 superblock_crc(Superblock superblock) {
  superblock.crc = 0;
  return crc32c(std::as_bytes(std::span(&superblock, 1)));
}

}  // namespace

u64 opening_of(const Uuid& pool, u64 epoch) {
  u64 random;  // all of it but four bits
  std::memcpy(&random, pool.data(), sizeof random);
  return random + epoch;
}

void seal_superblock(Superblock& superblock) { superblock.crc = superblock_crc(superblock); }

Result<Superblock> parse_superblock(Bytes block) {
  if (block.size() < sizeof(Superblock)) return Error{Code::invalid, "it is too short to be a Brindle pool"};
  Superblock superblock;
  std::memcpy(&superblock, block.data(), sizeof superblock);
  if (superblock.magic != superblock_magic) return Error{Code::invalid, "it is not a Brindle pool"};
  // The version comes before the checksum: a newer format may well keep its checksum elsewhere.
  if (superblock.version != format_version) {
    return Error{Code::unsupported, fmt::format("it has format version {}, and this program reads version {} only: "
                                                "use the brindled that wrote it, or a newer one",
                                                superblock.version, format_version)};
  }
  if (superblock.crc != superblock_crc(superblock)) return Error{Code::corrupt, "a superblock's checksum is wrong"};
  if ((superblock.features.incompatible & feature_member) != 0) {
    return Error{Code::unsupported, "it is one device of a pool that lies on several: name all of them"};
  }
  if ((superblock.features.incompatible & ~(feature_debts | feature_staged | feature_changes)) != 0 ||
      superblock.features.read_compatible != 0) {
    return Error{Code::unsupported, fmt::format("it uses features that this program does not know ({:#x}, {:#x}): "
                                                "use a newer brindled",
                                                superblock.features.incompatible, superblock.features.read_compatible)};
  }
  const u64 chunk = superblock.chunk_size;
  if (chunk < chunk_size_min || chunk > chunk_size_max || (chunk & (chunk - 1)) != 0) {
    return Error{Code::corrupt, fmt::format("its chunk size {} makes no sense", chunk)};
  }
  return superblock;
}

}  // namespace brindle
