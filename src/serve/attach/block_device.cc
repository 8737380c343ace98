#include "serve/attach/block_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/fd.h"

namespace brindle::attach {

namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The folders in /sys/block of the device and of its partitions.
std::vector<fs::path> sysfs_folders(const std::string& device) {
  const std::string name = fs::path(device).filename().string();
  const fs::path whole = fs::path("/sys/block") / name;
  std::vector<fs::path> out{whole};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(whole, error)) {
    if (entry.path().filename().string().starts_with(name + "p")) out.push_back(entry.path());
  }
  return out;
}

}  // namespace

std::vector<std::string> device_names(const std::string& prefix) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/block", error)) {
    if (std::string name = entry.path().filename().string(); name.starts_with(prefix)) out.push_back(std::move(name));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string device_attribute(const std::string& name, const std::string& attribute) {
  return first_line(fs::path("/sys/block") / name / attribute);
}

std::vector<std::string> device_numbers(const std::string& device) {
  std::vector<std::string> out;
  for (const auto& folder : sysfs_folders(device)) {
    if (std::string number = first_line(folder / "dev"); !number.empty()) out.push_back(std::move(number));
  }
  return out;
}

std::vector<std::string> device_nodes(const std::string& device) {
  std::vector<std::string> out;
  for (const auto& folder : sysfs_folders(device)) out.push_back("/dev/" + folder.filename().string());
  return out;
}

Status device_set_read_only(const std::string& device) {
  const Fd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
  const int on = 1;
  if (!fd.ok() || ::ioctl(fd.get(), BLKROSET, &on) != 0) return device_failed(device);
  return {};
}

Status device_flush(const std::string& device) {
  const Fd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok() || ::fsync(fd.get()) != 0) return device_failed(device);
  return {};
}

Status device_write_out(int fd) {
  constexpr unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  if (::sync_file_range(fd, 0, 0, all) != 0) return device_failed("the last writes cannot be written out");
  return {};
}

Error device_failed(const std::string& what) {
  return Error{errno == EBUSY ? Code::busy : Code::io, fmt::format("{}: {}", what, std::strerror(errno))};
}

}  // namespace brindle::attach
