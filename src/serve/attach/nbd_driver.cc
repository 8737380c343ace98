#include "serve/attach/nbd_driver.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "serve/attach/block_device.h"
#include "serve/attach/device_users.h"
#include "serve/attach/nbd_netlink.h"

namespace brindle::attach {

namespace {

constexpr unsigned step_us = 10'000;
constexpr int node_patience_ms = 5000;      // for the device's node, where the number is a new one
constexpr int usual_look_every_ms = 30'000; // Linux's own
constexpr int end_patience_ms = 1000;       // for the keeper's answer

u32 number_of(const std::string& device) {
  return static_cast<u32>(std::strtoul(device.c_str() + std::string("/dev/nbd").size(), nullptr, 10));
}

Status disconnect(const std::string& device) {
  auto kernel = NbdNetlink::open();
  if (!kernel) return kernel.error();
  // The number may be somebody else's next.
  std::ofstream(fmt::format("/sys/block/{}/queue/io_timeout", device.substr(5))) << usual_look_every_ms;
  return kernel->disconnect(number_of(device));
}

/// Gone once nobody has it open any more.
bool is_there(const std::string& device) { return !device_attribute(device.substr(5), "pid").empty(); }

void wait_gone(const std::string& device, int patience_ms) {
  for (int waited_ms = 0; is_there(device) && waited_ms < patience_ms; waited_ms += static_cast<int>(step_us / 1000)) ::usleep(step_us);
}

/// Has the keeper make no other connection, and, with SIGUSR2, end the one that there is.
void stop_connecting(const Place& place, pid_t pid, int signal) {
  if (pid <= 0 || !place.is_alive()) return;
  ::kill(pid, signal);
  for (int waited_ms = 0; waited_ms < end_patience_ms; waited_ms += static_cast<int>(step_us / 1000)) {
    const auto server = place.read_server();
    if (!server || !server->connected || !place.is_alive()) return;
    ::usleep(step_us);
  }
}

}  // namespace

std::string nbd_backend(const Place& place) { return "brindle/" + place.uuid(); }

Status NbdDriver::check() const {
  auto kernel = NbdNetlink::open();
  if (!kernel) return kernel.error();
  return {};
}

Result<std::string> NbdDriver::make(const Place& place, const Record&, bool) const {
  const auto devices = find(place);
  if (devices.empty()) return Error{Code::io, fmt::format("the kernel has no device of it: see {}", place.log())};
  for (int waited_ms = 0; ::access(devices.front().c_str(), F_OK) != 0; waited_ms += static_cast<int>(step_us / 1000)) {
    if (waited_ms < node_patience_ms) {
      ::usleep(step_us);
      continue;
    }
    return Error{Code::unsupported, fmt::format("{}: {}: the kernel's nbd driver has it, but not this system's /dev", devices.front(),
                                                std::strerror(errno))};
  }
  return devices.front();
}

std::vector<std::string> NbdDriver::find(const Place& place) const {
  std::vector<std::string> out;
  for (const auto& name : device_names("nbd")) {
    if (device_attribute(name, "backend") == nbd_backend(place)) out.push_back("/dev/" + name);
  }
  return out;
}

/// The keeper has told the kernel by itself.
Status NbdDriver::refresh(const Place&, const Record&) const { return {}; }

/// The kernel would take the connection away under a file system too, so that nobody uses it is for us to see to: nobody can claim the device
/// while we hold it, and who looks at it for a moment is waited for.
Status NbdDriver::detach(const Place& place, const std::string& device, int patience_ms, bool force) const {
  Fd held;
  for (int waited_ms = 0;; waited_ms += static_cast<int>(step_us / 1000)) {
    held.reset(::open(device.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    if (held.ok() && users_of(device, {}).empty()) break;
    if (waited_ms >= patience_ms) {
      if (force) break;
      return Error{Code::busy, fmt::format("{} is still open", device)};
    }
    held.reset();
    ::usleep(step_us);
  }
  const auto server = place.read_server();
  const pid_t pid = server ? server->pid : 0;
  if (!force) {
    if (auto status = device_write_out(held.get()); !status) return status;
  }
  if (force) {
    abandon(place, pid);
  } else {
    stop_connecting(place, pid, SIGUSR1);
    if (auto status = disconnect(device); !status) return status;
  }
  held.reset();
  wait_gone(device, patience_ms);  // or it goes with the last close
  return {};
}

/// A request that is being sent to a daemon that takes nothing would hold the device, and the kernel's whole generic netlink with it, while we ask
/// for the device's end: so the connection goes first.
void NbdDriver::abandon(const Place& place, pid_t pid) const {
  stop_connecting(place, pid, SIGUSR2);
  place.kill(pid);
  for (const auto& device : find(place)) (void)disconnect(device).ok();
}

}  // namespace brindle::attach
