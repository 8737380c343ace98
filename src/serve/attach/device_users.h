// device_users.h: who uses a block device: what is mounted from it, and which processes hold that or the device open.
//
// Caller: any; without privileges it sees only its own processes. It never follows a path into a file system that may hang.
#pragma once

#include <string>
#include <vector>

#include "base/units.h"

namespace brindle::attach {

struct Mount {
  std::string point;   // where
  std::string type;    // "ext4"
};

/// What this process's mount namespace has of the device or its partitions, oldest first.
std::vector<Mount> mounts_of(const std::string& device);
/// Whether something is mounted exactly there.
bool is_mount_point(const std::string& path);

struct User {
  int pid = 0;
  std::string name;    // of its program
};
/// Processes with a file open in one of the mounts, standing in it, or with the device itself open; not this one.
std::vector<User> users_of(const std::string& device, const std::vector<Mount>& mounts);
/// "pid 12 (postgres), pid 13 (bash) and 3 more", or "" for none.
std::string shown_users(const std::vector<User>& users);
/// What the kernel has built on it: device mapper, md, or the swap; "" for nothing.
std::string holders_of(const std::string& device);

}  // namespace brindle::attach
