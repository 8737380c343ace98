// input.h: what every fuzzer here begins with.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "base/units.h"

namespace brindle {

inline Bytes input_bytes(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

/// What must hold whatever the input is.
inline void must(bool good) {
  if (!good) std::abort();
}

}  // namespace brindle
