// pool_file.h: which file or device becomes or is the pool or one of its members, and which is nobody's business to touch.
//
// Holds:  1. A regular file that is there is only ever opened: what is no pool is left as it was, bytes and times.
//         2. A block device becomes a pool only when that was asked for, and one that carries something known only by force.
//            What belongs to a pool on several devices is never overwritten, by force either.
//         3. The device is locked from here on, before any socket is touched.
// Fails:  as the daemon prints it: what, why, and what to do.
#pragma once

#include <memory>
#include <string>

#include "daemon/options.h"
#include "device/file_device.h"
#include "format/members.h"
#include "format/superblock.h"

namespace brindle::daemon {

/// "pool PATH: why: what to do".
Error refused(Code code, const std::string& path, std::string_view why, std::string_view what_to_do);

/// The superblock that counts, in bytes that begin where a pool's addresses do; `why` of those that cannot be read: none is there.
std::optional<Superblock> best_superblock(Bytes front, std::optional<Error>& why);

class PoolFile {
 public:
  enum class Role {
    fallback,  // the default pool, which is made when it is missing
    only,      // the one --pool
    member,    // one of several
  };
  static Result<std::unique_ptr<PoolFile>> open(Reactor& home, const std::string& path, Role role,
                                                const Options& options);
  ~PoolFile();

  FileDevice& device() { return *device_; }
  const std::string& path() const { return path_; }
  /// A new pool is to be laid on it.
  bool is_new() const { return is_new_; }
  /// Of a member that is there: what its labels say.
  FoundMember found() const;
  /// The pool is whole: a file that was made for it gets its name now, so that who is killed before leaves nothing behind.
  Status keep();
  /// The pool was not made after all: a file that `keep` gave its name is removed again.
  void take_back() { made_ = made_ || kept_; }

 private:
  PoolFile(std::string path, Role role) : path_(std::move(path)), role_(role) {}
  Status open_block(Reactor& home, const Options& options);
  Status open_file(Reactor& home, const Options& options);
  Status make_file(Reactor& home, const Options& options);
  Status open_device(Reactor& home, const std::string& path, FileDeviceOptions options);
  Status look(const Options& options, bool& is_pool);
  Status look_for_label(bool& is_pool);

  std::string path_;
  Role role_;
  std::unique_ptr<FileDevice> device_;
  std::vector<std::byte> front_;  // what stood there when it was opened
  bool never_taken_ = false;      // it belongs to a pool that force does not break up
  int exclusive_fd_ = -1;  // of a block device: so that nobody mounts it
  bool is_new_ = false;
  int unnamed_fd_ = -1;    // of a new file that had no name at first
  bool named_ = false;
  bool made_ = false;      // a new file with its name, to be removed again if it does not become a pool
  bool kept_ = false;      // a file that became one and got its name
};

}  // namespace brindle::daemon
