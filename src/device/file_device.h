// file_device.h: a pool in a file (which grows) or on a block device, by io_uring and direct I/O.
//
// Holds:  1. One process at a time: the file is locked as long as the device is open, and the kernel lets go of the lock
//            when the process ends, however it ends, and all that it had asked of the disk is done. (Closing another
//            descriptor of the same file in this process weakens that: an opener then waits before it is refused.)
//         2. Opening changes nothing: not the file's length, not its times.
// Caller: the home core's reactor; a reader's own for the reader.
// Fails:  busy (another process has it), no_space (the host's file system is full), io.
#pragma once

#include "device/device.h"
#include "runtime/reactor.h"

namespace brindle {

struct FileDeviceOptions {
  bool create = false;     // the file must not be there yet, and is made
  bool read_only = false;
  std::string name;        // for messages; the path where it is empty
  u64 size_max = 0;        // of a file: the limit that it grows to; 0: what the file system has free, less a tenth
};

class FileDevice final : public Device {
 public:
  static Result<std::unique_ptr<FileDevice>> open(Reactor& reactor, const std::string& path, FileDeviceOptions options);
  ~FileDevice() override;

  u64 size() const override { return size_; }
  u64 size_max() const override { return size_max_; }
  Task<Status> read(u64 offset, std::span<const iovec> into) override;
  std::unique_ptr<DeviceReader> reader(Reactor& core) override;
  Task<Status> write(u64 offset, std::span<const iovec> from) override;
  Task<Status> flush() override;
  Task<Status> punch(u64 offset, u64 length) override;
  Task<Status> fill(u64 offset, u64 length) override;
  Task<Status> set_size_max(u64 bytes) override;
  std::string name() const override { return path_; }
  bool is_block_device() const { return block_device_; }
  /// Where the file is and its number there; which block device it is, and 0.
  std::pair<u64, u64> identity() const;
  /// The first bytes, for looking at what is there; short where the file is.
  Result<std::vector<std::byte>> peek(u64 bytes) const;

 private:
  FileDevice(Reactor& reactor, std::string path) : reactor_(reactor), path_(std::move(path)) {}
  class Reader;
  Status error(std::string_view what, int result) const;
  Task<Status> read_on(Reactor& reactor, u64 offset, std::span<const iovec> into);

  Reactor& reactor_;
  std::string path_;
  int fd_ = -1;
  bool block_device_ = false;
  u64 size_ = 0;
  u64 size_max_ = 0;
};

}  // namespace brindle
