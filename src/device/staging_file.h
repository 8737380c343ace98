// staging_file.h: staging memory as a file on tmpfs: it outlives the process, and nothing that the machine does not.
//
// Holds:  1. The file is one pool's, named after where the pool lies, locked, and has all its memory from the start.
//         2. It is removed when it is told to be, and otherwise left for the next process.
// Caller: the main thread.
// Fails:  invalid (the folder is on a disk, or cannot be used), no_space, busy.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "device/staging.h"

namespace brindle {

/// What the kernel calls this start of the machine.
Result<Uuid> boot_id();

class StagingFile {
 public:
  /// The folder is made where it is missing.
  static Result<std::unique_ptr<StagingFile>> open(const std::string& folder, const StagingOwner& owner);
  /// Has an earlier process left one for this owner?
  static bool is_there(const std::string& folder, const StagingOwner& owner);
  ~StagingFile();
  StagingFile(const StagingFile&) = delete;
  StagingFile& operator=(const StagingFile&) = delete;

  MutBytes memory() { return memory_; }
  void remove();

 private:
  StagingFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_;
  MutBytes memory_;
};

}  // namespace brindle
