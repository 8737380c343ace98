#include "serve/attach/attach.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "serve/attach/block_device.h"
#include "serve/attach/detach.h"
#include "serve/attach/device_users.h"
#include "serve/attach/driver.h"
#include "serve/attach/file_system.h"
#include "serve/attach/spawn.h"

namespace brindle::attach {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr int lock_patience_ms = 30'000;
constexpr auto refresh_patience = 5s;

bool has_capability(unsigned number) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return (std::stoull(line.substr(7), nullptr, 16) >> number & 1) != 0;
  }
  return false;
}

/// The folder where it is to be mounted: made, and free.
Status prepare_mount_point(const std::string& point) {
  std::error_code error;
  fs::create_directories(point, error);
  if (error) return Error{Code::invalid, fmt::format("{} cannot be made: {}", point, error.message())};
  if (!fs::is_directory(point, error)) return Error{Code::invalid, fmt::format("{} is not a folder", point)};
  if (is_mount_point(fs::canonical(point, error).string())) {
    return Error{Code::busy, fmt::format("{} has something mounted already: choose another folder", point)};
  }
  return {};
}

Attachment look(const Place& place, const Record& record) {
  Attachment out{place, record.name, place.uuid(), record.driver, record.device, {}, record.read_only, 0, 0, false};
  if (const auto server = place.read_server()) {
    const bool alive = place.is_alive();
    if (!server->name.empty()) out.name = server->name;
    out.size = server->size;
    out.pid = alive ? server->pid : 0;
    out.connected = alive && server->connected;
  }
  for (const auto& mount : mounts_of(out.device)) out.mounts.push_back(mount.point);
  return out;
}

/// What a killed process or a restart left. Fails: busy (somebody still uses the dead device).
Status clean_stale(const Place& place) {
  Record record = place.read_record().value_or(Record{});
  return detach_locked(look(place, record), false);
}

/// Its process was killed, and the device works without one, until the daemon ends: another process keeps it.
Result<Attachment> revive(const AttachRequest& request, const Place& place, const Record& record) {
  std::vector<std::string> words = request.server;
  words.insert(words.end(), {"--driver", record.driver});
  if (auto status = spawn_server(words, place.log()); !status) return status.error();
  if (!request.mount.empty() || !request.mkfs.empty()) {
    return Error{Code::exists, fmt::format("it is attached already, as {}: detach it first", record.device)};
  }
  return look(place, record);
}

/// Device, file system and mount, over what is being served. The record has the device once there is one.
Status build(const AttachRequest& request, const Place& place, const Driver& driver, bool overlay, Record& record) {
  // A snapshot that is mounted gets its journal replayed beside it, so its device takes writes until then.
  auto device = driver.make(place, record, request.snapshot && !overlay);
  if (!device) return device.error();
  record.device = *device;
  if (auto status = place.write_record(record); !status) return status;
  if (!request.mkfs.empty()) {
    if (auto status = make_file_system(*device, request.mkfs, request.holds, request.force); !status) return status;
  }
  if (request.mount.empty()) return {};
  auto status = mount_device(*device, request.mount, request.snapshot);
  if (!status && request.snapshot && !overlay) {
    return Error{status.code(), status.error().message + ": if its journal has to be replayed, --driver loop does that beside it"};
  }
  if (!status) return status;
  if (overlay) return device_set_read_only(*device);
  return {};
}

bool mounts_snapshot(const AttachRequest& request) { return request.snapshot && !request.mount.empty(); }

/// `unusable`: whether it failed for want of a device.
Result<Attachment> attach_by(const Driver& driver, const AttachRequest& request, bool& unusable) {
  if (auto status = driver.check(); !status) return status.error();
  const bool overlay = mounts_snapshot(request) && driver.has_overlay();
  const Place place(request.folder, request.uuid);
  std::error_code error;
  fs::create_directories(request.folder, error);
  auto lock = lock_place(place, lock_patience_ms);
  if (!lock) return lock.error();
  if (const auto record = place.read_record()) {
    if (place.is_alive()) {
      return Error{Code::exists, fmt::format("it is attached already, as {}: detach it first", record->device)};
    }
    if (outlived_its_process(place)) return revive(request, place, *record);
    if (auto status = clean_stale(place); !status) return status.error();
  }
  if (!request.mount.empty()) {
    if (auto status = prepare_mount_point(request.mount); !status) return status.error();
  }
  if (auto status = place.create(); !status) return status.error();
  Record record{request.name, request.uuid, driver.name(), {}, request.name, request.mount, request.snapshot};
  if (auto status = place.write_record(record); !status) return status.error();

  std::vector<std::string> words = request.server;
  words.insert(words.end(), {"--driver", driver.name()});
  if (overlay) words.emplace_back("--overlay");
  auto status = spawn_server(words, place.log());
  if (status) status = build(request, place, driver, overlay, record);
  if (!status) {
    unusable = status.code() == Code::unsupported && record.device.empty();
    // What had been built is of no use to anybody, so nothing is lost by force.
    (void)detach_locked(look(place, record), true);
    return status.error();
  }
  return look(place, record);
}

}  // namespace

Status attach_check() {
  if (!has_capability(CAP_SYS_ADMIN)) {
    return Error{Code::unsupported, "it needs CAP_SYS_ADMIN, for block devices and mounting: run it as root"};
  }
  return {};
}

Result<Attachment> attach(const AttachRequest& request) {
  const Driver& driver = request.driver.empty() ? driver_chosen(mounts_snapshot(request)) : driver_named(request.driver);
  bool unusable = false;
  auto attached = attach_by(driver, request, unusable);
  if (!unusable || !request.driver.empty()) return attached;
  // A container may see the kernel's nbd and not be allowed to use it.
  const Driver& loop = driver_named("loop");
  return &driver != &loop && loop.check() ? attach_by(loop, request, unusable) : attached;
}

std::vector<Attachment> list(const std::string& folder) {
  std::vector<Attachment> out;
  for (const auto& place : places(folder)) {
    Attachment found = look(place, place.read_record().value_or(Record{}));
    if (found.pid == 0 && ::access(folder.c_str(), W_OK) == 0) {
      auto lock = lock_place(place, 0);
      if (!lock) continue;  // being attached or detached at this moment
      if (is_remnant(place)) {
        place.remove();
        continue;
      }
    }
    if (!found.device.empty()) out.push_back(std::move(found));
  }
  return out;
}

Status detach(const Attachment& attachment, bool force) {
  auto lock = lock_place(attachment.place, force ? 2000 : lock_patience_ms);
  // By force: also when another detach hangs, waiting for a daemon that does not come back.
  if (!lock && !force) return lock.error();
  return detach_locked(attachment, force);
}

Status refresh(const Attachment& attachment, u64 size) {
  if (attachment.pid == 0) return Error{Code::io, "its serving process is dead: detach it, and attach it again"};
  ::kill(attachment.pid, SIGHUP);
  const auto until = std::chrono::steady_clock::now() + refresh_patience;
  for (;;) {
    const auto server = attachment.place.read_server();
    if (server && server->size == size) break;
    if (std::chrono::steady_clock::now() > until) {
      return Error{Code::busy, fmt::format("its serving process has not taken the new size over: see {}", attachment.place.log())};
    }
    std::this_thread::sleep_for(5ms);
  }
  const Record record = attachment.place.read_record().value_or(Record{});
  return driver_named(record.driver).refresh(attachment.place, record);
}

}  // namespace brindle::attach
