#include "device/memory_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace brindle {

namespace {

/// Copies into memory that no cache holds. Its lines are asked for all at once: left to the stores, which get there one by one, a block
/// of a log takes half as long again.
void copy_in(std::byte* to, const std::byte* from, u64 length) {
  constexpr u64 line = 64;
  for (u64 at = 0; at < length;) {
    const u64 size = std::min(length - at, block_size);
    for (u64 ahead = 0; ahead < size; ahead += line) __builtin_prefetch(to + at + ahead, 1);
    std::memcpy(to + at, from + at, size);
    at += size;
  }
}

}  // namespace

MemoryDevice::MemoryDevice(u64 size_max)
    : size_max_(std::min(round_down(size_max, block_size), rows_max * row_chunks * chunk_bytes)) {}

MemoryDevice::~MemoryDevice() {
  for (auto& row : rows_) {
    if (row == nullptr) continue;
    for (auto& bytes : *row) std::free(bytes);
    delete row;
  }
}

std::atomic<std::byte*>* MemoryDevice::place(u64 index) const {
  Row* const row = rows_[index / row_chunks].load(std::memory_order_acquire);
  return row != nullptr ? &(*row)[index % row_chunks] : nullptr;
}

std::byte* MemoryDevice::find(u64 index) const {
  const auto* const at = place(index);
  return at != nullptr ? at->load(std::memory_order_acquire) : nullptr;
}

std::byte* MemoryDevice::chunk(u64 index) {
  if (std::byte* const there = find(index)) return there;
  auto* const bytes = static_cast<std::byte*>(std::aligned_alloc(chunk_bytes, chunk_bytes));
  if (bytes == nullptr) throw std::bad_alloc();
  madvise(bytes, chunk_bytes, MADV_HUGEPAGE);
  std::memset(bytes, 0, chunk_bytes);
  auto& row = rows_[index / row_chunks];
  if (row.load(std::memory_order_relaxed) == nullptr) row.store(new Row{}, std::memory_order_release);
  place(index)->store(bytes, std::memory_order_release);
  return bytes;
}

void MemoryDevice::drop(u64 index) {
  if (auto* const at = place(index)) std::free(at->exchange(nullptr));
}

/// Memory is memory from any core.
class MemoryDevice::Reader final : public DeviceReader {
 public:
  explicit Reader(MemoryDevice& device) : device_(device) {}
  Task<Status> read(u64 offset, std::span<const iovec> into) override { return device_.read(offset, into); }

 private:
  MemoryDevice& device_;
};

std::unique_ptr<DeviceReader> MemoryDevice::reader(Reactor&) { return std::make_unique<Reader>(*this); }

Task<Status> MemoryDevice::read(u64 offset, std::span<const iovec> into) {
  for (const iovec& vector : into) {
    auto* to = static_cast<std::byte*>(vector.iov_base);
    for (u64 left = vector.iov_len; left > 0;) {
      const u64 index = offset / chunk_bytes;
      const u64 within = offset % chunk_bytes;
      const u64 size = std::min(left, chunk_bytes - within);
      if (const std::byte* const bytes = find(index)) {
        std::memcpy(to, bytes + within, size);
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
      copy_in(chunk(offset / chunk_bytes) + within, bytes, size);
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
  const u64 end = (offset + length) / chunk_bytes;
  for (u64 index = div_up(offset, chunk_bytes); index < end; ++index) drop(index);
  co_return Status{};
}

Task<Status> MemoryDevice::fill(u64 offset, u64 length) {
  CHECK(offset + length <= size_max_);
  const Status emptied = co_await punch(offset, length);
  for (u64 at = offset; at < offset + length;) {  // the parts of chunks at the ends
    const u64 within = at % chunk_bytes;
    const u64 size = std::min(offset + length - at, chunk_bytes - within);
    if (std::byte* const bytes = find(at / chunk_bytes)) std::memset(bytes + within, 0, size);
    at += size;
  }
  size_ = std::max(size_, offset + length);
  co_return emptied;
}

Task<Status> MemoryDevice::set_size_max(u64 bytes) {
  size_max_ = std::max(size_, std::min(round_down(bytes, block_size), rows_max * row_chunks * chunk_bytes));
  co_return Status{};
}

}  // namespace brindle
