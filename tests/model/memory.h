// memory.h: for programs that play one history after the other: what one took is kept for the next.
#pragma once

#include <malloc.h>

#include "base/aligned.h"

namespace brindle::model {

/// Giving memory back to the system and asking again costs a fault for each page: a third of the time, and more on a virtual machine.
inline void keep_memory() {
  mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024);
  mallopt(M_TRIM_THRESHOLD, 512 * 1024 * 1024);
  mallopt(M_TOP_PAD, 16 * 1024 * 1024);
  keep_aligned(64 * MiB);
}

}  // namespace brindle::model
