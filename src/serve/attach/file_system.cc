#include "serve/attach/file_system.h"

#include <blkid/blkid.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "base/names.h"
#include "base/run_program.h"

namespace brindle::attach {

namespace {

struct Kind {
  const char* type;
  const char* package;                // Debian's, for the message
  std::vector<std::string> make;      // without the device
  const char* force;                  // mkfs's own flag for "over what is there"
  const char* mount_options;
};

const Kind* kind_of(const std::string& type) {
  // Blocks of 4 KiB everywhere, which is what a volume is made of. ext4: discards everything first, and our discards
  // zero, so the journal and the inode tables need no writing. xfs: refuses a second file system of the same UUID, which
  // every clone is, unless told not to look.
  static const Kind kinds[] = {
      {"ext4", "e2fsprogs", {"mkfs.ext4", "-q", "-b", "4096", "-E", "discard,assume_storage_prezeroed=1"}, "-F", ""},
      {"xfs", "xfsprogs", {"mkfs.xfs", "-q", "-s", "size=4096"}, "-f", "nouuid"},
      {"btrfs", "btrfs-progs", {"mkfs.btrfs", "-q"}, "-f", ""},
  };
  for (const auto& kind : kinds) {
    if (type == kind.type) return &kind;
  }
  return nullptr;
}

std::string value_of(blkid_probe probe, const char* key) {
  const char* value = nullptr;
  return blkid_probe_lookup_value(probe, key, &value, nullptr) == 0 ? value : "";
}

}  // namespace

Result<std::string> probe_device(const std::string& device) {
  const std::unique_ptr<std::remove_pointer_t<blkid_probe>, void (*)(blkid_probe)> probe(
      blkid_new_probe_from_filename(device.c_str()), blkid_free_probe);
  if (!probe) return Error{Code::io, fmt::format("{} cannot be read: {}", device, std::strerror(errno))};
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE);
  blkid_probe_enable_partitions(probe.get(), 1);
  const int found = blkid_do_safeprobe(probe.get());
  if (found == 1) return std::string();
  if (found == -2) return std::string("several signatures");
  if (found != 0) return Error{Code::io, fmt::format("{} cannot be read: {}", device, std::strerror(errno))};
  if (std::string type = value_of(probe.get(), "TYPE"); !type.empty()) return type;
  return value_of(probe.get(), "PTTYPE") + " partition table";
}

bool can_make(const std::string& type) { return kind_of(type) != nullptr; }

Status make_file_system(const std::string& device, const std::string& type, u64 holds, bool force) {
  const Kind* kind = kind_of(type);
  if (kind == nullptr) return Error{Code::invalid, fmt::format("{} is not one of ext4, xfs, btrfs", type)};
  auto there = probe_device(device);
  if (!there) return there.error();
  if (!there->empty() && !force) {
    return Error{Code::exists, fmt::format("it holds a file system or data already ({}): leave --mkfs away to use that, "
                                           "or add --force to overwrite it", *there)};
  }
  // Not everything has a signature: a database's files, what dm-crypt wrote.
  if (holds > 0 && !force) {
    return Error{Code::exists, fmt::format("it holds {} of something that is no file system: add --force to overwrite it", format_size(holds))};
  }
  std::vector<std::string> words = kind->make;
  words.emplace_back(kind->force);  // we have looked ourselves, and nobody is there to be asked
  words.push_back(device);
  auto status = run_program(words);
  if (!status && status.code() == Code::not_found) {
    return Error{Code::not_found, fmt::format("{} is not installed: apt-get install {}", words.front(), kind->package)};
  }
  if (!status) return Error{status.code(), fmt::format("{}: {}", words.front(), status.error().message)};
  return {};
}

Status mount_device(const std::string& device, const std::string& point, bool read_only) {
  auto type = probe_device(device);
  if (!type) return type.error();
  if (type->empty()) {
    return Error{Code::invalid, "it holds no file system: make one with --mkfs ext4 (or xfs, btrfs)"};
  }
  const Kind* kind = kind_of(*type);
  const char* options = kind != nullptr ? kind->mount_options : "";
  if (::mount(device.c_str(), point.c_str(), type->c_str(), read_only ? MS_RDONLY : 0, options) == 0) return {};
  const int why = errno;
  if (why == ENODEV) {
    return Error{Code::unsupported, fmt::format("it holds {}, which this kernel cannot mount (attach without --mount)", *type)};
  }
  if (why == EEXIST && *type == "btrfs") {
    return Error{Code::busy, "a Btrfs of the same UUID is mounted, and this kernel (before 6.7) takes two for one: "
                             "detach the other first, or give this one a new UUID with btrfstune -u"};
  }
  return Error{why == EBUSY ? Code::busy : Code::io, fmt::format("{} on {}: cannot be mounted: {}", *type, point,
                                                                  std::strerror(why))};
}

}  // namespace brindle::attach
