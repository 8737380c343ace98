// aligned.h: memory that direct I/O can use.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "base/units.h"

namespace brindle {

/// A buffer whose address and size are multiples of `block_size`. The content is not initialised.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(u64 size) : size_(round_up(size, block_size)) {
    bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(block_size, size_)));
    if (size_ > 0 && !bytes_) throw std::bad_alloc();
  }
  std::byte* data() { return bytes_.get(); }
  const std::byte* data() const { return bytes_.get(); }
  u64 size() const { return size_; }
  MutBytes span() { return {bytes_.get(), size_}; }
  Bytes span() const { return {bytes_.get(), size_}; }
  void clear() {
    if (size_ > 0) std::memset(bytes_.get(), 0, size_);
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  u64 size_ = 0;
};

inline bool is_aligned(const void* at) { return reinterpret_cast<std::uintptr_t>(at) % block_size == 0; }

}  // namespace brindle
