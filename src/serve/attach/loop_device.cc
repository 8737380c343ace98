#include "serve/attach/loop_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/units.h"
#include "serve/attach/block_device.h"

namespace brindle::attach {

namespace {

constexpr int attempts_max = 64;      // others may take the free device first
constexpr unsigned look_again_us = 10'000;

/// This mark is the device's, not the file's: the kernel keeps it for whoever gets the device next, unless it is taken away.
bool set_read_only(int fd, int on) { return ::ioctl(fd, BLKROSET, &on) == 0; }

bool is_attached(int fd) {
  loop_info64 info{};
  return ::ioctl(fd, LOOP_GET_STATUS64, &info) == 0 || errno != ENXIO;
}

}  // namespace

Result<std::string> loop_attach(const std::string& file, bool read_only) {
  const Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.ok()) {
    return Error{Code::unsupported, fmt::format("/dev/loop-control: {}: load the kernel's loop module (modprobe loop)",
                                                std::strerror(errno))};
  }
  const Fd backing(::open(file.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  if (!backing.ok()) return device_failed(file);
  loop_config config{};
  config.fd = static_cast<u32>(backing.get());
  config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_PARTSCAN | (read_only ? static_cast<u32>(LO_FLAGS_READ_ONLY) : 0U);
  std::strncpy(reinterpret_cast<char*>(config.info.lo_file_name), file.c_str(), LO_NAME_SIZE - 1);
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return device_failed("no free loop device");
    const std::string device = fmt::format("/dev/loop{}", number);
    Fd loop(::open(device.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
    if (!loop.ok() && errno == ENOENT) {
      ::usleep(look_again_us);  // its node is being made
      continue;
    }
    if (!loop.ok()) return device_failed(device);
    if (::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) {
      if (!set_read_only(loop.get(), read_only ? 1 : 0)) return device_failed(device);
      return device;
    }
    if (errno != EBUSY) return device_failed(device);
  }
  return Error{Code::busy, "no free loop device: others take them faster; try again"};
}

std::vector<std::string> loop_find(const std::string& part) {
  std::vector<std::string> out;
  for (const auto& name : device_names("loop")) {
    // Asking the device itself would ask the file's server, which may be dead.
    if (device_attribute(name, "loop/backing_file").find(part) != std::string::npos) out.push_back("/dev/" + name);
  }
  return out;
}

Status loop_refresh(const std::string& device) {
  const Fd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok() || ::ioctl(fd.get(), LOOP_SET_CAPACITY, 0) != 0) return device_failed(device);
  return {};
}

Status loop_detach(const std::string& device, int patience_ms, bool when_closed, bool may_lose) {
  const Fd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return device_failed(device);
  set_read_only(fd.get(), 0);
  for (int waited_us = 0;; waited_us += static_cast<int>(look_again_us)) {
    if (auto status = device_write_out(fd.get()); !status && !may_lose) return status;
    // With other openers, the kernel notes that it shall let go at the last close, and calls that success. Ours is the
    // last one that matters, so it is asked again until the file is gone.
    if (::ioctl(fd.get(), LOOP_CLR_FD, 0) != 0 && errno != ENXIO && errno != EBUSY) return device_failed(device);
    if (!is_attached(fd.get())) return {};
    if (waited_us / 1000 >= patience_ms) break;
    ::usleep(look_again_us);
  }
  loop_info64 info{};
  if (!when_closed && ::ioctl(fd.get(), LOOP_GET_STATUS64, &info) == 0) {
    info.lo_flags &= ~static_cast<u32>(LO_FLAGS_AUTOCLEAR);
    ::ioctl(fd.get(), LOOP_SET_STATUS64, &info);
  }
  return Error{Code::busy, fmt::format("{} is still open", device)};
}

}  // namespace brindle::attach
