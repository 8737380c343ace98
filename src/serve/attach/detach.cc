#include "serve/attach/detach.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "serve/attach/block_device.h"
#include "serve/attach/device_users.h"
#include "serve/attach/driver.h"

namespace brindle::attach {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto step = 5ms;
constexpr auto end_patience = 30'000ms;  // for the serving process, whose last flush may be long
constexpr auto end_patience_forced = 2000ms;
constexpr auto daemon_patience = 3000ms;
constexpr auto daemon_patience_forced = 1000ms;
constexpr auto ask_again = 200ms;
constexpr int open_patience_ms = 5000;   // for udev and the like, which look at devices for a moment
constexpr int open_patience_forced_ms = 300;
constexpr int unmount_tries = 5;

Error in_use(const std::string& device, const std::vector<Mount>& mounts) {
  const std::string who = shown_users(users_of(device, mounts));
  return Error{Code::busy, fmt::format("{} is in use{}: end that first, or add --force to take it away from them", device,
                                       who.empty() ? " (by something mounted below it, or in another namespace)" : " by " + who)};
}

/// Nobody may have the device or a file of its mounts open. Kernel users count too: dm, md, swap.
Status check_unused(const std::string& device, const std::vector<Mount>& mounts) {
  if (const std::string holder = holders_of(device); !holder.empty()) {
    return Error{Code::busy, fmt::format("{} is in use by {}: remove that first", device, holder)};
  }
  if (!users_of(device, mounts).empty()) return in_use(device, mounts);
  return {};
}

Status unmount(const std::string& device, const std::vector<Mount>& mounts, bool force) {
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    bool gone = false;
    for (int tries = 0; !gone && tries < unmount_tries; ++tries) {
      if (tries > 0) std::this_thread::sleep_for(step * 4);
      gone = ::umount2(mount->point.c_str(), UMOUNT_NOFOLLOW) == 0 || errno == EINVAL;
      if (!gone && errno != EBUSY) {
        return Error{Code::io, fmt::format("{} cannot be unmounted: {}", mount->point, std::strerror(errno))};
      }
    }
    if (gone) continue;
    if (!force) return in_use(device, mounts);
    if (::umount2(mount->point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      return Error{Code::io, fmt::format("{} cannot be unmounted: {}", mount->point, std::strerror(errno))};
    }
  }
  return {};
}

/// Whether the serving process has the daemon. One that has just been started again is looked for at once.
bool has_daemon(const Place& place, pid_t pid, std::chrono::milliseconds patience) {
  for (auto asked = Clock::now(), until = asked + patience;; std::this_thread::sleep_for(step)) {
    const auto server = place.read_server();
    if (!server || !place.is_alive()) return false;
    if (server->connected) return true;
    if (Clock::now() > until) return false;
    if (Clock::now() < asked) continue;
    if (pid > 0) ::kill(pid, SIGHUP);
    asked = Clock::now() + ask_again;
  }
}

/// What writes are still in the page cache goes to the volume, as far as that can be had.
void sync_mounts(const std::vector<Mount>& mounts) {
  for (const auto& mount : mounts) {
    const Fd folder(::open(mount.point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.ok()) ::syncfs(folder.get());
  }
}

}  // namespace

Status detach_locked(const Attachment& attachment, bool force) {
  const Place& place = attachment.place;
  const auto server = place.read_server();
  const bool alive = place.is_alive();
  const pid_t pid = alive && server ? server->pid : 0;
  const bool connected = alive && has_daemon(place, pid, force ? daemon_patience_forced : daemon_patience);

  if (alive && !connected && !attachment.read_only && !force) {
    return Error{Code::busy, "the daemon is away and writes may be waiting for it: start it again, or add --force to lose them"};
  }
  if (!force && outlived_its_process(place)) {
    return Error{Code::busy, "its process was killed, and the device hangs if the daemon is away: `brindle attach` it again first, which "
                             "starts another process for it, or add --force to lose what is not flushed"};
  }
  // Without the daemon every step below could wait for I/O that never ends; after this, I/O fails and ends.
  if (force && !connected) driver_named(attachment.driver).abandon(place, pid);

  for (const auto& [driver, device] : find_devices(place)) {
    const auto mounts = mounts_of(device);
    if (!force) {
      if (auto status = check_unused(device, mounts); !status) return status;
    } else if (connected) {
      sync_mounts(mounts);
    }
    if (auto status = unmount(device, mounts, force); !status) return status;
    if (connected && !attachment.read_only) {
      auto status = device_flush(device);
      if (!status && !force) {
        return Error{Code::io, fmt::format("{}: the last writes could not be flushed: make room in the pool and try again, "
                                           "or add --force to lose them", status.error().message)};
      }
    }
    auto status = driver->detach(place, device, force ? open_patience_forced_ms : open_patience_ms, force);
    if (!status && !force) return status.code() == Code::busy ? in_use(device, mounts) : status;
  }
  if (alive) {
    if (pid > 0) ::kill(pid, SIGTERM);
    if (!place.wait_for_end(force ? end_patience_forced : end_patience)) {
      if (!force) {
        return Error{Code::busy, fmt::format("its serving process (pid {}) does not end: see {}, or add --force", pid, place.log())};
      }
      place.kill(pid);
    }
  }
  // Of a process that was killed the mount is still there, and dead.
  while (::umount2(place.disk().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {}
  place.remove();
  return {};
}

bool is_remnant(const Place& place) {
  return !place.is_alive() && find_devices(place).empty() && !is_mount_point(place.disk());
}

bool outlived_its_process(const Place& place) {
  const auto found = find_devices(place);
  return !place.is_alive() && std::any_of(found.begin(), found.end(), [](const FoundDevice& one) { return !one.driver->needs_process(); });
}

}  // namespace brindle::attach
