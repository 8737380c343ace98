#include "runtime/frames.h"

#include <array>
#include <new>

namespace brindle::frames {

namespace {

constexpr std::size_t class_bytes = 128;
constexpr std::size_t classes = 64;  // up to 8 KiB: a read's frame, with the names of its blocks, is the largest
constexpr std::size_t kept_max = 2 << 20;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool keeps = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr bool keeps = false;
#else
constexpr bool keeps = true;
#endif
#else
constexpr bool keeps = true;
#endif

struct Free {
  Free* next;
};

/// Without a destructor of its own, so that a frame which ends after the thread's other objects finds it whole.
struct Kept {
  std::array<Free*, classes> free;
  std::size_t bytes;
  bool closed;
};
thread_local constinit Kept kept{};

/// Gives everything back when the thread ends.
struct Closer {
  ~Closer() {
    kept.closed = true;
    for (Free*& first : kept.free) {
      while (first != nullptr) {
        Free* const next = first->next;
        ::operator delete(first);
        first = next;
      }
    }
    kept.bytes = 0;
  }
  void touch() const {}
};
thread_local Closer closer;

constexpr std::size_t class_of(std::size_t size) { return (size - 1) / class_bytes; }

}  // namespace

void* take(std::size_t size) {
  const std::size_t index = class_of(size);
  if (!keeps || index >= classes) return ::operator new(size);
  if (Free* const first = kept.free[index]) {
    kept.free[index] = first->next;
    kept.bytes -= (index + 1) * class_bytes;
    return first;
  }
  return ::operator new((index + 1) * class_bytes);
}

void give_back(void* frame, std::size_t size) noexcept {
  const std::size_t index = class_of(size);
  const std::size_t bytes = (index + 1) * class_bytes;
  if (!keeps || index >= classes || kept.closed || kept.bytes + bytes > kept_max) {
    ::operator delete(frame);
    return;
  }
  if (kept.bytes == 0) closer.touch();  // makes it exist, and so end with the thread
  auto* const free = static_cast<Free*>(frame);
  free->next = kept.free[index];
  kept.free[index] = free;
  kept.bytes += bytes;
}

}  // namespace brindle::frames
