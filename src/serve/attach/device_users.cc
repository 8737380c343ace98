#include "serve/attach/device_users.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "serve/attach/block_device.h"

namespace brindle::attach {

namespace {

namespace fs = std::filesystem;

constexpr size_t shown_max = 5;

struct MountLine {
  u64 id = 0;
  std::string number;  // "7:3"
  Mount mount;
  std::string source;
};

/// The kernel writes blanks and backslashes as three octal digits.
std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// proc(5), /proc/pid/mountinfo.
std::vector<MountLine> mount_table() {
  std::vector<MountLine> out;
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    MountLine entry;
    std::string parent, root, options, optional;
    words >> entry.id >> parent >> entry.number >> root >> entry.mount.point >> options;
    while (words >> optional && optional != "-") {}
    words >> entry.mount.type >> entry.source;
    entry.mount.point = unescaped(entry.mount.point);
    entry.source = unescaped(entry.source);
    out.push_back(std::move(entry));
  }
  return out;
}

std::vector<MountLine> lines_of(const std::string& device) {
  const auto numbers = device_numbers(device);
  const auto nodes = device_nodes(device);
  std::vector<MountLine> out;
  for (auto& line : mount_table()) {
    // Btrfs has a device number of its own, and names the device only as the source.
    const bool by_number = std::find(numbers.begin(), numbers.end(), line.number) != numbers.end();
    const bool by_source = std::find(nodes.begin(), nodes.end(), line.source) != nodes.end();
    if (by_number || by_source) out.push_back(std::move(line));
  }
  return out;
}

/// What a link in /proc leads to, without asking the file system behind it for anything.
struct Target {
  u32 device_major = 0, device_minor = 0;
  u64 special = 0;  // of a block device's node
  u64 mount_id = 0;
};
std::optional<Target> target_of(const std::string& path) {
  struct statx out {};
  const int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
  if (::statx(AT_FDCWD, path.c_str(), flags, STATX_TYPE | STATX_MNT_ID, &out) != 0) return {};
  Target target;
  target.device_major = out.stx_dev_major;
  target.device_minor = out.stx_dev_minor;
  if (S_ISBLK(out.stx_mode)) target.special = makedev(out.stx_rdev_major, out.stx_rdev_minor);
  if ((out.stx_mask & STATX_MNT_ID) != 0) target.mount_id = out.stx_mnt_id;
  return target;
}

struct Wanted {
  std::set<u64> mount_ids;
  std::set<u64> specials;
};

bool uses(const std::string& link, const Wanted& wanted) {
  const auto target = target_of(link);
  return target && (wanted.mount_ids.contains(target->mount_id) || wanted.specials.contains(target->special));
}

bool process_uses(const fs::path& process, const Wanted& wanted) {
  for (const char* link : {"cwd", "root", "exe"}) {
    if (uses((process / link).string(), wanted)) return true;
  }
  std::error_code error;
  for (const char* folder : {"fd", "map_files"}) {
    for (fs::directory_iterator entry(process / folder, error), end; !error && entry != end; entry.increment(error)) {
      if (uses(entry->path().string(), wanted)) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<Mount> mounts_of(const std::string& device) {
  std::vector<Mount> out;
  for (auto& line : lines_of(device)) out.push_back(std::move(line.mount));
  return out;
}

bool is_mount_point(const std::string& path) {
  const auto table = mount_table();
  return std::any_of(table.begin(), table.end(), [&](const MountLine& line) { return line.mount.point == path; });
}

std::vector<User> users_of(const std::string& device, const std::vector<Mount>& mounts) {
  Wanted wanted;
  for (const auto& line : lines_of(device)) {
    const bool asked = std::any_of(mounts.begin(), mounts.end(), [&](const Mount& m) { return m.point == line.mount.point; });
    if (asked) wanted.mount_ids.insert(line.id);
  }
  for (const auto& node : device_nodes(device)) {
    struct stat about {};
    if (::stat(node.c_str(), &about) == 0) wanted.specials.insert(about.st_rdev);
  }
  std::vector<User> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    const int pid = std::stoi(name);
    if (pid == ::getpid() || !process_uses(entry.path(), wanted)) continue;
    User user{pid, {}};
    std::ifstream comm(entry.path() / "comm");
    std::getline(comm, user.name);
    out.push_back(std::move(user));
  }
  std::sort(out.begin(), out.end(), [](const User& a, const User& b) { return a.pid < b.pid; });
  return out;
}

std::string shown_users(const std::vector<User>& users) {
  std::string out;
  for (size_t i = 0; i < std::min(users.size(), shown_max); ++i) {
    out += fmt::format("{}pid {} ({})", i == 0 ? "" : ", ", users[i].pid, users[i].name);
  }
  if (users.size() > shown_max) out += fmt::format(" and {} more", users.size() - shown_max);
  return out;
}

std::string holders_of(const std::string& device) {
  std::error_code error;
  for (const auto& node : device_nodes(device)) {
    const fs::path name = fs::path(node).filename();
    const fs::path link = fs::canonical(fs::path("/sys/class/block") / name, error) / "holders";
    for (const auto& holder : fs::directory_iterator(link, error)) return holder.path().filename().string();
  }
  std::ifstream swaps("/proc/swaps");
  const auto nodes = device_nodes(device);
  for (std::string line; std::getline(swaps, line);) {
    if (std::find(nodes.begin(), nodes.end(), line.substr(0, line.find(' '))) != nodes.end()) return "swap";
  }
  return {};
}

}  // namespace brindle::attach
