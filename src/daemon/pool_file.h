// pool_file.h: which file or device becomes or is the pool, and which is nobody's business to touch.
//
// Holds:  1. A regular file that is there is only ever opened: what is no pool is left as it was, bytes and times.
//         2. A block device becomes a pool only when that was asked for, and one that carries something known only by force.
//         3. The device is locked from here on, before any socket is touched.
// Fails:  as the daemon prints it: what, why, and what to do.
#pragma once

#include <memory>
#include <string>

#include "daemon/options.h"
#include "device/file_device.h"

namespace brindle::daemon {

class PoolFile {
 public:
  /// `path` is the only --pool, or the default one (`is_default`), which is made when it is missing.
  static Result<std::unique_ptr<PoolFile>> open(Reactor& home, const std::string& path, bool is_default,
                                                const Options& options);
  ~PoolFile();

  Device& device() { return *device_; }
  /// A new pool is to be laid on it.
  bool is_new() const { return is_new_; }
  /// The pool is whole: a file that was made for it gets its name now, so that who is killed before leaves nothing behind.
  Status keep();

 private:
  explicit PoolFile(std::string path) : path_(std::move(path)) {}
  Status open_block(Reactor& home, const Options& options);
  Status open_file(Reactor& home, const Options& options);
  Status make_file(Reactor& home, const Options& options);
  Status open_device(Reactor& home, const std::string& path, FileDeviceOptions options);
  Status look(const Options& options, bool& is_pool);

  std::string path_;
  std::unique_ptr<FileDevice> device_;
  int exclusive_fd_ = -1;  // of a block device: so that nobody mounts it
  bool is_new_ = false;
  int unnamed_fd_ = -1;    // of a new file that had no name at first
  bool named_ = false;
  bool made_ = false;      // a new file with its name, to be removed again if it does not become a pool
};

}  // namespace brindle::daemon
