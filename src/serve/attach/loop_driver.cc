#include "serve/attach/loop_driver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "serve/attach/loop_device.h"

namespace brindle::attach {

namespace {

std::string file_of(const Place& place, const Record& record) { return place.disk() + "/" + record.file_name; }

}  // namespace

Status LoopDriver::check() const {
  if (::access("/dev/fuse", R_OK | W_OK) != 0) {
    return Error{Code::unsupported, fmt::format("/dev/fuse: {}: load the kernel's fuse module (modprobe fuse)",
                                                std::strerror(errno))};
  }
  if (::access("/dev/loop-control", R_OK | W_OK) != 0) {
    return Error{Code::unsupported, fmt::format("/dev/loop-control: {}: load the kernel's loop module (modprobe loop)",
                                                std::strerror(errno))};
  }
  return {};
}

Result<std::string> LoopDriver::make(const Place& place, const Record& record, bool read_only) const {
  return loop_attach(file_of(place, record), read_only);
}

std::vector<std::string> LoopDriver::find(const Place& place) const { return loop_find(place.disk_part()); }

Status LoopDriver::refresh(const Place& place, const Record& record) const {
  struct stat about {};  // asking for the size is what makes the kernel take it over
  const std::string file = file_of(place, record);
  if (::stat(file.c_str(), &about) != 0) return Error{Code::io, fmt::format("{}: {}", file, std::strerror(errno))};
  return loop_refresh(record.device);
}

Status LoopDriver::detach(const Place& place, const std::string& device, int patience_ms, bool force) const {
  // What its process did not take can go nowhere any more.
  return loop_detach(device, patience_ms, force, force || !place.is_alive());
}

/// Without the process FUSE answers with errors.
void LoopDriver::abandon(const Place& place, pid_t pid) const { place.kill(pid); }

}  // namespace brindle::attach
