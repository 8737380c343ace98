#include "base/crc32c.h"

#include <isa-l/crc.h>

namespace brindle {

u32 crc32c(Bytes bytes, u32 seed) {
  // ISA-L takes a pointer to mutable bytes, an int for the length, and leaves both inversions to the caller.
  auto* at = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  return ~crc32_iscsi(at, static_cast<int>(bytes.size()), ~seed);
}

}  // namespace brindle
