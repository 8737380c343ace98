// crc32c.h: CRC-32C (Castagnoli), the checksum of everything on a pool. RFC 3720, appendix B.4.
#pragma once

#include "base/units.h"

namespace brindle {

/// CRC-32C of `bytes`; `seed` is the result for what stands before them, or 0.
u32 crc32c(Bytes bytes, u32 seed = 0);

}  // namespace brindle
