#include "base/aligned.h"

#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstring>
#include <new>
#include <vector>

namespace brindle {

namespace {

// Buffers of 4 KiB, 8 KiB, … 1 MiB are kept for the next that asks: compaction takes one of nearly that for each segment, and
// new pages for it cost more than its copies. Larger ones are rare.
constexpr size_t classes_max = 14;  // what `keep_aligned` can ask for: 32 MiB
size_t classes = 9;
u64 kept_bytes_max = 2 * MiB;  // of each size, in each thread

size_t class_of(u64 size) { return static_cast<size_t>(std::countr_zero(std::bit_ceil(size / block_size))); }
u64 class_size(size_t number) { return block_size << number; }

std::byte* map(u64 size) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(at);
}

// A buffer may end after its thread's stock has: then it goes straight back.
thread_local bool closed = false;

struct Kept {
  std::array<std::vector<std::byte*>, classes_max> buffers;
  ~Kept() {
    closed = true;
    for (size_t number = 0; number < classes_max; ++number) {
      for (std::byte* bytes : buffers[number]) munmap(bytes, class_size(number));
    }
  }
};

thread_local Kept kept;

}  // namespace

std::byte* detail::take_aligned(u64 size) {
  const size_t number = class_of(size);
  if (number >= classes) return map(size);
  if (closed) return map(class_size(number));
  auto& buffers = kept.buffers[number];
  if (buffers.empty()) return map(class_size(number));
  std::byte* const bytes = buffers.back();
  buffers.pop_back();
  return bytes;
}

void detail::give_aligned(std::byte* bytes, u64 size) {
  const size_t number = class_of(size);
  if (number >= classes) {
    munmap(bytes, size);
    return;
  }
  if (closed || kept.buffers[number].size() * class_size(number) >= kept_bytes_max) {
    munmap(bytes, class_size(number));
    return;
  }
  kept.buffers[number].push_back(bytes);
}

void keep_aligned(u64 bytes_max) {
  classes = classes_max;
  kept_bytes_max = bytes_max;
}

void AlignedBuffer::clear() {
  if (size() > 0) std::memset(data(), 0, size());
}

}  // namespace brindle
