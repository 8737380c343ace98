// vectors.h: lists of pieces of memory, as devices take them.
#pragma once

#include <span>
#include <vector>

#include <sys/uio.h>

#include "base/units.h"

namespace brindle {

inline u64 total_bytes(std::span<const iovec> vectors) {
  u64 bytes = 0;
  for (const iovec& vector : vectors) bytes += vector.iov_len;
  return bytes;
}

/// Puts a piece at the end; one with the last where it follows that in memory.
inline void append_joined(std::vector<iovec>& vectors, std::byte* at, u64 bytes) {
  if (!vectors.empty() && static_cast<std::byte*>(vectors.back().iov_base) + vectors.back().iov_len == at) {
    vectors.back().iov_len += bytes;
  } else {
    vectors.push_back({at, bytes});
  }
}

}  // namespace brindle
