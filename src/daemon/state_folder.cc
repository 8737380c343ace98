#include "daemon/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "control/listen.h"

namespace brindle::daemon {

namespace fs = std::filesystem;

Result<StateFolder> StateFolder::open(const std::string& path) {
  std::error_code error;
  std::string where = fs::absolute(path, error).lexically_normal().string();
  while (where.size() > 1 && where.back() == '/') where.pop_back();
  // A path that is short as it was given will do, whatever the current folder's is.
  if (error || !control::check_socket_path(where + "/control.sock")) where = path;
  if (auto status = control::check_socket_path(where + "/control.sock"); !status) return status.error();
  fs::create_directories(where, error);
  if (error) {
    return Error{Code::io, fmt::format("the state folder {} cannot be made: {}: choose another with --state", where, error.message())};
  }
  const int fd = ::open(where.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return Error{Code::io, fmt::format("the state folder {} cannot be opened: {}: choose another with --state", where,
                                       std::strerror(errno))};
  }
  StateFolder folder(where, fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return Error{Code::busy, fmt::format("the state folder {} is another brindled's: stop that one, or choose another with --state",
                                         where)};
  }
  if (access(where.c_str(), W_OK) != 0) {
    return Error{Code::io, fmt::format("the state folder {} cannot be written: {}: choose another with --state", where,
                                       std::strerror(errno))};
  }
  return folder;
}

StateFolder::StateFolder(StateFolder&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

StateFolder::~StateFolder() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace brindle::daemon
