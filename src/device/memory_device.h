// memory_device.h: a pool in memory, for tests and for measuring what is not the disk.
//
// Holds:  1. Every call completes at once; nothing survives the device.
//         2. Memory is taken a chunk at a time when it is first written, and given back by a `punch` of all of it. A chunk is
//            a huge page where the system has one: the page faults of small ones would be most of what is measured.
//         3. Who reads from another core finds each chunk by itself: the table of chunks never moves.
// Caller: the thread of whoever opened the pool; any other for a reader.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "device/device.h"

namespace brindle {

class MemoryDevice final : public Device {
 public:
  explicit MemoryDevice(u64 size_max);
  ~MemoryDevice() override;

  u64 size() const override { return size_; }
  u64 size_max() const override { return size_max_; }
  Task<Status> read(u64 offset, std::span<const iovec> into) override;
  std::unique_ptr<DeviceReader> reader(Reactor& core) override;
  Task<Status> write(u64 offset, std::span<const iovec> from) override;
  Task<Status> flush() override;
  Task<Status> punch(u64 offset, u64 length) override;
  Task<Status> fill(u64 offset, u64 length) override;
  Task<Status> set_size_max(u64 bytes) override;
  std::string name() const override { return "memory"; }

 private:
  static constexpr u64 chunk_bytes = 2 * MiB;
  static constexpr u64 row_chunks = 4096;
  static constexpr u64 rows_max = 8192;  // 64 TiB
  using Row = std::array<std::atomic<std::byte*>, row_chunks>;
  class Reader;

  std::atomic<std::byte*>* place(u64 index) const;
  std::byte* find(u64 index) const;
  std::byte* chunk(u64 index);
  void drop(u64 index);

  u64 size_ = 0;
  u64 size_max_;
  std::array<std::atomic<Row*>, rows_max> rows_{};
};

}  // namespace brindle
