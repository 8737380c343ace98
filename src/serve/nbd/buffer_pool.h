// buffer_pool.h: memory for payloads, aligned as the pool's device wants it, and handed out again while warm in the cache.
//
// Holds:  1. What was given back last is handed out first.
//         2. It keeps at most `cached_max` for later; the rest goes back to the system.
// Caller: the core of the connections that use it.
#pragma once

#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/aligned.h"
#include "base/check.h"

namespace brindle::nbd {

class BufferPool;

/// One buffer; it goes back to its pool by itself.
class Buffer {
 public:
  Buffer() = default;
  Buffer(BufferPool* pool, std::byte* bytes, unsigned size_class) : pool_(pool), bytes_(bytes), class_(size_class) {}
  Buffer(Buffer&& other) noexcept
      : pool_(other.pool_), bytes_(std::exchange(other.bytes_, nullptr)), class_(other.class_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      pool_ = other.pool_;
      bytes_ = std::exchange(other.bytes_, nullptr);
      class_ = other.class_;
    }
    return *this;
  }
  ~Buffer() { reset(); }
  std::byte* data() const { return bytes_; }
  explicit operator bool() const { return bytes_ != nullptr; }
  inline void reset();

 private:
  BufferPool* pool_ = nullptr;
  std::byte* bytes_ = nullptr;
  unsigned class_ = 0;
};

class BufferPool {
 public:
  BufferPool() = default;
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool() { trim(0); }

  /// At least `size` bytes, at most 32 MiB.
  Buffer take(u64 size) {
    unsigned size_class = 0;
    while (class_bytes(size_class) < size) ++size_class;
    CHECK(size_class < classes);
    auto& free = free_[size_class];
    if (!free.empty()) {
      std::byte* const bytes = free.back();
      free.pop_back();
      cached_ -= class_bytes(size_class);
      return {this, bytes, size_class};
    }
    auto* const bytes = static_cast<std::byte*>(std::aligned_alloc(block_size, class_bytes(size_class)));
    if (bytes == nullptr) throw std::bad_alloc();
    return {this, bytes, size_class};
  }
  /// Gives memory back until at most `bytes` are kept.
  void trim(u64 bytes) {
    for (unsigned size_class = classes; size_class-- > 0;) {
      auto& free = free_[size_class];
      while (cached_ > bytes && !free.empty()) {
        std::free(free.back());
        free.pop_back();
        cached_ -= class_bytes(size_class);
      }
    }
  }

 private:
  friend class Buffer;
  static constexpr unsigned classes = 14;  // 4 KiB to 32 MiB
  static constexpr u64 cached_max = 8 * MiB;
  static constexpr u64 class_bytes(unsigned size_class) { return block_size << size_class; }

  void give_back(std::byte* bytes, unsigned size_class) {
    if (cached_ + class_bytes(size_class) > cached_max) {
      std::free(bytes);
      return;
    }
    cached_ += class_bytes(size_class);
    free_[size_class].push_back(bytes);
  }

  std::array<std::vector<std::byte*>, classes> free_;
  u64 cached_ = 0;
};

inline void Buffer::reset() {
  if (bytes_ != nullptr) pool_->give_back(std::exchange(bytes_, nullptr), class_);
}

}  // namespace brindle::nbd
