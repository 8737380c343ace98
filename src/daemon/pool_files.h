// pool_files.h: the pool's device: one file or block device, or several as one.
//
// Holds:  1. A pool on one is that file or block device itself, with nothing between.
//         2. Of several, all are new or all are the members of one pool; else nothing is touched, and files that were made for it are
//            gone again.
//         3. New members get their labels last, when the pool on them is whole, and new files their names after that.
// Caller: the main thread.
// Fails:  as the daemon prints it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/pool_file.h"
#include "device/device_set.h"

namespace brindle::daemon {

class PoolFiles {
 public:
  /// `paths`: absolute; one, or several. `is_default`: it is nobody's choice, and made where it is missing.
  static Result<std::unique_ptr<PoolFiles>> open(Reactor& home, const std::vector<std::string>& paths, bool is_default,
                                                 const Options& options);
  ~PoolFiles();

  Device& device() { return set_ ? static_cast<Device&>(*set_) : files_.front()->device(); }
  bool is_new() const { return files_.front()->is_new(); }
  /// Of the first file or block device: see FileDevice::identity.
  std::pair<u64, u64> first_file() const { return files_.front()->device().identity(); }
  /// Of a pool on several: what its labels tell, or will tell.
  std::optional<Uuid> uuid() const { return set_ ? std::optional(label_.pool) : std::nullopt; }
  /// For messages.
  const std::string& text() const { return text_; }
  /// The pool is whole: it stays.
  Status keep();

 private:
  explicit PoolFiles(Reactor& home) : home_(home) {}
  Status refuse_twice(const std::vector<std::string>& paths) const;
  Status make_members(const Options& options);
  Status join(const Options& options);
  Status check_size(const Options& options) const;
  Result<std::vector<u64>> shares(const Options& options, u64& unit) const;
  Status make_set();
  std::vector<Device*> devices() const;
  Task<Status> write_all_labels(const Layout& layout);

  Reactor& home_;
  std::string text_;
  std::vector<std::unique_ptr<PoolFile>> files_;  // of several: by member
  MemberLabel label_{.layout = Layout(unit_min, 2)};
  std::unique_ptr<DeviceSet> set_;
};

}  // namespace brindle::daemon
