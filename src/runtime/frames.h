// frames.h: memory of coroutine frames, kept for the next ones: a request makes a dozen of them.
//
// Holds:  1. What was given back last is handed out first, so it is warm.
//         2. A thread keeps at most `kept_max` bytes; the rest goes back to the system.
//         3. Under a sanitizer it keeps nothing, so that a frame used after its end is found.
// Caller: any thread; each has its own.
#pragma once

#include <cstddef>

namespace brindle::frames {

void* take(std::size_t size);
void give_back(void* frame, std::size_t size) noexcept;

/// What a promise type inherits to have its frames from here.
struct Pooled {
  static void* operator new(std::size_t size) { return take(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { give_back(frame, size); }
};

}  // namespace brindle::frames
