// big_endian.h: numbers as NBD sends them.
#pragma once

#include <cstring>

#include "base/units.h"

namespace brindle::attach {

template <class T>
T swapped(T value) {
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(static_cast<u16>(value)));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(static_cast<u32>(value)));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(static_cast<u64>(value)));
}

template <class T>
T load_be(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return swapped(value);
}

template <class T>
void store_be(std::byte* to, T value) {
  value = swapped(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace brindle::attach
