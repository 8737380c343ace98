// state_folder.h: the folder with the default pool and the sockets; one daemon at a time.
//
// Holds:  1. The folder itself is locked, so no lock file is left behind; the kernel lets go of the lock when the process
//            ends, however it ends.
//         2. Nothing in the folder is touched before the lock is held.
// Fails:  invalid (a path too long for a socket), busy (another daemon), io.
#pragma once

#include <string>

#include "base/result.h"

namespace brindle::daemon {

class StateFolder {
 public:
  /// Makes the folder where it is missing.
  static Result<StateFolder> open(const std::string& path);
  StateFolder(StateFolder&& other) noexcept;
  StateFolder& operator=(StateFolder&&) = delete;
  StateFolder(const StateFolder&) = delete;
  ~StateFolder();

  const std::string& path() const { return path_; }
  std::string pool() const { return path_ + "/pool"; }
  std::string control_socket() const { return path_ + "/control.sock"; }
  std::string nbd_socket() const { return path_ + "/nbd.sock"; }

 private:
  StateFolder(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;  // absolute where that is short enough for a socket
  int fd_;
};

}  // namespace brindle::daemon
