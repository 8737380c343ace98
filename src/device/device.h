// device.h: a file, a block device, memory, or a simulated disk: where a pool keeps its bytes.
//
// Holds:  1. Offsets, lengths and buffers are multiples of `block_size` (buffers: aligned to it too).
//         2. A completed write is seen by every later read, also after the death of the process. Only what a completed
//            `flush` covers (the writes that had completed when it was called) survives a power loss.
//         3. Writes under way complete in any order.
//         4. What a `reader` reads has been written before it is asked for, and is not written, punched or filled meanwhile.
// Caller: the home core of the device's runtime; a reader's core for the reader.
// Fails:  io, no_space (the host's file system is full); a range beyond the end is our bug.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sys/uio.h>

#include "base/result.h"
#include "base/units.h"
#include "runtime/task.h"

namespace brindle {

class Reactor;

/// One of the files or block devices that a device consists of.
struct DevicePart {
  std::string name;
  u64 size = 0;      // bytes that it has now
  u64 size_max = 0;  // what it may grow to
};

/// Reads of a device: the device itself, or a way to it from another core.
class DeviceReader {
 public:
  DeviceReader() = default;
  DeviceReader(const DeviceReader&) = delete;
  DeviceReader& operator=(const DeviceReader&) = delete;
  virtual ~DeviceReader() = default;

  /// Reads from `offset` on into all of `into`. The vectors must outlive the call.
  virtual Task<Status> read(u64 offset, std::span<const iovec> into) = 0;
};

class Device : public DeviceReader {
 public:
  /// Bytes that can be addressed now.
  virtual u64 size() const = 0;
  /// Bytes that `fill` can reach: the limit of a file, the size of a block device.
  virtual u64 size_max() const = 0;
  using DeviceReader::read;
  /// For reads from `core`, which has a ring of its own; none where that cannot be. It must end before the device does.
  virtual std::unique_ptr<DeviceReader> reader(Reactor& core);
  /// Writes all of `from` at `offset`.
  virtual Task<Status> write(u64 offset, std::span<const iovec> from) = 0;
  /// Does `stage` return before the device has the bytes?
  virtual bool stages() const { return false; }
  /// As write, and ok may come as soon as the bytes stand in memory that outlives the process: the next process finds them
  /// under this `opening`, a number that no other opening of this pool or of another has.
  virtual Task<Status> stage(u64 opening, u64 offset, std::span<const iovec> from);
  /// Writes what an earlier process staged in this opening and the device does not have yet; forgets what was staged in any
  /// other. To be called before anything is staged. Returns bytes.
  virtual Task<Result<u64>> unstage(u64 opening);
  /// Makes every write that has completed durable.
  virtual Task<Status> flush() = 0;
  /// Gives the range back to the host where that is possible; it reads as zeroes or as anything afterwards.
  virtual Task<Status> punch(u64 offset, u64 length) = 0;
  /// Writes zeroes over the range, durable with the next flush; grows the device to hold it (never beyond size_max).
  virtual Task<Status> fill(u64 offset, u64 length) = 0;
  /// Raises or lowers the limit of `fill`, for good where the device itself keeps it; a block device refuses (invalid).
  virtual Task<Status> set_size_max(u64 bytes) = 0;
  virtual std::string name() const = 0;
  /// Which part of it the byte at `offset` belongs to, be it there or not.
  virtual std::string name_at(u64 offset) const {
    static_cast<void>(offset);
    return name();
  }
  /// What it consists of, in order.
  virtual std::vector<DevicePart> parts() const { return {{name(), size(), size_max()}}; }

  // In one buffer, and tried once more where it fails: an error that passes costs only time.
  Task<Status> read(u64 offset, MutBytes into) {
    const iovec one{into.data(), into.size()};
    const std::span<const iovec> vectors(&one, 1);
    Status status = co_await read(offset, vectors);
    if (!status) status = co_await read(offset, vectors);
    co_return status;
  }
  Task<Status> write(u64 offset, Bytes from) {
    const iovec one{const_cast<std::byte*>(from.data()), from.size()};
    const std::span<const iovec> vectors(&one, 1);
    Status status = co_await write(offset, vectors);
    if (!status) status = co_await write(offset, vectors);
    co_return status;
  }
};

inline std::unique_ptr<DeviceReader> Device::reader(Reactor&) { return nullptr; }

// Without staging memory nothing is staged.
inline Task<Status> Device::stage(u64, u64 offset, std::span<const iovec> from) { return write(offset, from); }
inline Task<Result<u64>> Device::unstage(u64) { co_return u64{0}; }

}  // namespace brindle
