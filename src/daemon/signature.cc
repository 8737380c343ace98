#include "daemon/signature.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace brindle::daemon {

namespace {

using namespace std::string_view_literals;

struct Magic {
  const char* name;
  u64 offset;
  std::string_view bytes;
};

constexpr std::array magics{
    Magic{"a Brindle pool", 0, "BRINDLE1"sv},
    Magic{"a Brindle pool", 64 * KiB, "BRINDLE1"sv},
    Magic{"ext2, ext3 or ext4", 0x438, "\x53\xef"sv},
    Magic{"XFS", 0, "XFSB"sv},
    Magic{"Btrfs", 0x10040, "_BHRfS_M"sv},
    Magic{"bcachefs", 0x1018, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"sv},
    Magic{"bcache", 0x1018, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"sv},
    Magic{"LUKS", 0, "LUKS\xba\xbe"sv},
    Magic{"LUKS", 0x4000, "SKUL\xba\xbe"sv},
    Magic{"BitLocker", 3, "-FVE-FS-"sv},
    Magic{"swap", 0xff6, "SWAPSPACE2"sv},
    Magic{"swap", 0xff6, "SWAP-SPACE"sv},
    Magic{"swap", 0xfff6, "SWAPSPACE2"sv},
    Magic{"a Linux software RAID member", 0, "\xfc\x4e\x2b\xa9"sv},
    Magic{"a Linux software RAID member", 0x1000, "\xfc\x4e\x2b\xa9"sv},
    Magic{"NTFS", 3, "NTFS    "sv},
    Magic{"exFAT", 3, "EXFAT   "sv},
    Magic{"FAT", 0x36, "FAT"sv},
    Magic{"FAT", 0x52, "FAT32"sv},
    Magic{"ISO 9660", 0x8001, "CD001"sv},
    Magic{"F2FS", 0x400, "\x10\x20\xf5\xf2"sv},
    Magic{"SquashFS", 0, "hsqs"sv},
    Magic{"EROFS", 0x400, "\xe2\xe1\xf5\xe0"sv},
    Magic{"ReiserFS", 0x10034, "ReIsEr"sv},
    Magic{"JFS", 0x8000, "JFS1"sv},
    Magic{"NILFS2", 0x406, "\x34\x34"sv},
    Magic{"OCFS2", 0x2000, "OCFSV2"sv},
    Magic{"GFS2", 0x10000, "\x01\x16\x19\x70"sv},
    Magic{"UFS", 0x255c, "\x54\x19\x01\x00"sv},
    Magic{"Ceph BlueStore", 0, "bluestore block device"sv},
    Magic{"DRBD", 0xffc, "\x83\x74\x02\x6b"sv},
    Magic{"VDO", 0, "dmvdo001"sv},
    Magic{"a qcow2 image", 0, "QFI\xfb"sv},
    Magic{"a VMDK image", 0, "KDMV"sv},
};

bool has(u64 size, const ReadAt& read, u64 offset, std::string_view magic) {
  if (offset + magic.size() > size) return false;
  std::array<std::byte, 64> there{};
  const MutBytes into(there.data(), magic.size());
  return read(offset, into) && std::memcmp(there.data(), magic.data(), magic.size()) == 0;
}

template <class T>
T number_at(u64 size, const ReadAt& read, u64 offset) {
  T value = 0;
  if (offset + sizeof value > size) return 0;
  return read(offset, std::as_writable_bytes(std::span(&value, 1))) ? value : 0;
}

/// A partition table of the old kind: the mark, and an entry that makes sense. File systems put the mark there too.
bool has_partitions(u64 size, const ReadAt& read) {
  if (!has(size, read, 510, "\x55\xaa"sv)) return false;
  for (u64 entry = 446; entry < 510; entry += 16) {
    const u8 status = number_at<u8>(size, read, entry);
    const u8 type = number_at<u8>(size, read, entry + 4);
    const u32 sectors = number_at<u32>(size, read, entry + 12);
    if (type != 0 && sectors != 0 && (status == 0 || status == 0x80)) return true;
  }
  return false;
}

/// ZFS keeps a ring of 128 uberblocks from 128 KiB into each of its labels on; one of them is enough.
bool has_uberblock(u64 size, const ReadAt& read) {
  constexpr u64 label_size = 256 * KiB;
  const u64 end = size / label_size * label_size;
  std::vector<u64> labels{0, label_size};
  if (end >= 4 * label_size) labels.insert(labels.end(), {end - 2 * label_size, end - label_size});
  for (u64 label : labels) {
    for (u64 at = label + 128 * KiB; at < label + label_size; at += KiB) {
      if (has(size, read, at, "\x0c\xb1\xba\x00\x00\x00\x00\x00"sv)) return true;
      if (has(size, read, at, "\x00\x00\x00\x00\x00\xba\xb1\x0c"sv)) return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::string> find_signature(u64 size, const ReadAt& read) {
  for (const Magic& magic : magics) {
    if (has(size, read, magic.offset, magic.bytes)) return magic.name;
  }
  for (u64 sector : {512, 4096}) {
    if (has(size, read, sector, "EFI PART"sv)) return "a GPT partition table";
  }
  if (size >= 512 && has(size, read, size - 512, "EFI PART"sv)) return "the backup of a GPT partition table";
  for (u64 sector = 0; sector < 4; ++sector) {
    if (has(size, read, sector * 512, "LABELONE"sv)) return "an LVM physical volume";
  }
  // Software RAID of versions 1.0 and 0.90 keeps its superblock near the end.
  if (size >= 16 * KiB) {
    if (has(size, read, (size / 512 - 16) / 8 * 8 * 512, "\xfc\x4e\x2b\xa9"sv)) return "a Linux software RAID member";
    if (size >= 128 * KiB && has(size, read, size / (64 * KiB) * (64 * KiB) - 64 * KiB, "\xfc\x4e\x2b\xa9"sv)) {
      return "a Linux software RAID member";
    }
  }
  if (has_uberblock(size, read)) return "ZFS";
  if (has_partitions(size, read)) return "an MBR partition table";
  return std::nullopt;
}

Result<std::optional<std::string>> signature_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{Code::io, fmt::format("{}: it cannot be opened: {}", path, std::strerror(errno))};
  u64 size = 0;
  if (ioctl(fd, BLKGETSIZE64, &size) != 0) {
    const off_t end = lseek(fd, 0, SEEK_END);
    size = end > 0 ? static_cast<u64>(end) : 0;
  }
  bool failed = false;
  const auto found = find_signature(size, [&](u64 offset, MutBytes into) {
    const ssize_t got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0) failed = true;
    return got == static_cast<ssize_t>(into.size());
  });
  close(fd);
  // What cannot be read may be anything.
  if (failed && !found) return Error{Code::io, fmt::format("{}: it cannot be read: {}", path, std::strerror(errno))};
  return found;
}

}  // namespace brindle::daemon
