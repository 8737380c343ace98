#include "device/memory_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace brindle {

void MemoryDevice::Free::operator()(std::byte* bytes) const { std::free(bytes); }

std::byte* MemoryDevice::chunk(u64 index) {
  if (index >= chunks_.size()) chunks_.resize(index + 1);
  if (!chunks_[index]) {
    auto* const bytes = static_cast<std::byte*>(std::aligned_alloc(chunk_bytes, chunk_bytes));
    if (bytes == nullptr) throw std::bad_alloc();
    madvise(bytes, chunk_bytes, MADV_HUGEPAGE);
    std::memset(bytes, 0, chunk_bytes);
    chunks_[index].reset(bytes);
  }
  return chunks_[index].get();
}

Task<Status> MemoryDevice::read(u64 offset, std::span<const iovec> into) {
  for (const iovec& vector : into) {
    auto* to = static_cast<std::byte*>(vector.iov_base);
    for (u64 left = vector.iov_len; left > 0;) {
      const u64 index = offset / chunk_bytes;
      const u64 within = offset % chunk_bytes;
      const u64 size = std::min(left, chunk_bytes - within);
      if (index < chunks_.size() && chunks_[index]) {
        std::memcpy(to, chunks_[index].get() + within, size);
      } else {
        std::memset(to, 0, size);
      }
      to += size;
      offset += size;
      left -= size;
    }
  }
  co_return Status{};
}

Task<Status> MemoryDevice::write(u64 offset, std::span<const iovec> from) {
  for (const iovec& vector : from) {
    const auto* bytes = static_cast<const std::byte*>(vector.iov_base);
    for (u64 left = vector.iov_len; left > 0;) {
      const u64 within = offset % chunk_bytes;
      const u64 size = std::min(left, chunk_bytes - within);
      std::memcpy(chunk(offset / chunk_bytes) + within, bytes, size);
      bytes += size;
      offset += size;
      left -= size;
    }
  }
  size_ = std::max(size_, offset);
  co_return Status{};
}

Task<Status> MemoryDevice::flush() { co_return Status{}; }

Task<Status> MemoryDevice::punch(u64 offset, u64 length) {
  const u64 end = std::min((offset + length) / chunk_bytes, u64{chunks_.size()});
  for (u64 index = div_up(offset, chunk_bytes); index < end; ++index) chunks_[index].reset();
  co_return Status{};
}

Task<Status> MemoryDevice::fill(u64 offset, u64 length) {
  CHECK(offset + length <= size_max_);
  const Status emptied = co_await punch(offset, length);
  for (u64 at = offset; at < offset + length;) {  // the parts of chunks at the ends
    const u64 within = at % chunk_bytes;
    const u64 size = std::min(offset + length - at, chunk_bytes - within);
    const u64 index = at / chunk_bytes;
    if (index < chunks_.size() && chunks_[index]) std::memset(chunks_[index].get() + within, 0, size);
    at += size;
  }
  size_ = std::max(size_, offset + length);
  co_return emptied;
}

Task<Status> MemoryDevice::set_size_max(u64 bytes) {
  size_max_ = std::max(size_, round_down(bytes, block_size));
  co_return Status{};
}

}  // namespace brindle
