#include "base/crc32c.h"

#include <isa-l/crc.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace brindle {

namespace {

#if defined(__x86_64__)
const bool has_wide_registers = __builtin_cpu_supports("avx") != 0;

/// ISA-L returns with something left in the upper parts of the vector registers. As long as it is there each instruction that uses only
/// the lower part (nearly all of this program) has to keep it, and waits for whatever used the register before: a write of 4 KiB took
/// 1.63 us instead of 1.28 (docs/performance.md).
__attribute__((target("avx"))) void forget_upper_parts() { _mm256_zeroupper(); }

void tidy_registers() {
  if (has_wide_registers) forget_upper_parts();
}
#else
void tidy_registers() {}
#endif

}  // namespace

u32 crc32c(Bytes bytes, u32 seed) {
  // ISA-L takes a pointer to mutable bytes, an int for the length, and leaves both inversions to the caller.
  auto* at = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  const u32 crc = ~crc32_iscsi(at, static_cast<int>(bytes.size()), ~seed);
  tidy_registers();
  return crc;
}

}  // namespace brindle
