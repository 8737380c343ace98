#include "daemon/signature.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace brindle::daemon {

namespace {

/// A device of that many bytes, all zero but for what is put there.
class Disk {
 public:
  explicit Disk(u64 size = MiB) : bytes_(size) {}
  Disk& put(u64 offset, std::string_view text) {
    std::memcpy(bytes_.data() + offset, text.data(), text.size());
    return *this;
  }
  std::string look() const {
    const auto found = find_signature(bytes_.size(), [this](u64 offset, MutBytes into) {
      if (offset + into.size() > bytes_.size()) return false;
      std::memcpy(into.data(), bytes_.data() + offset, into.size());
      return true;
    });
    return found.value_or("");
  }

 private:
  std::vector<char> bytes_;
};

}  // namespace

TEST(Signature, an_empty_device_has_none_however_small) {
  for (u64 size : {u64{0}, u64{1}, u64{511}, u64{512}, 4 * KiB, 64 * KiB, MiB}) EXPECT_EQ(Disk(size).look(), "") << size;
}

TEST(Signature, what_is_known_is_recognised) {
  EXPECT_EQ(Disk().put(0x438, "\x53\xef").look(), "ext2, ext3 or ext4");
  EXPECT_EQ(Disk().put(0, "XFSB").look(), "XFS");
  EXPECT_EQ(Disk().put(0x10040, "_BHRfS_M").look(), "Btrfs");
  EXPECT_EQ(Disk().put(512, "LABELONE").look(), "an LVM physical volume");
  EXPECT_EQ(Disk().put(0xff6, "SWAPSPACE2").look(), "swap");
  EXPECT_EQ(Disk().put(0, "LUKS\xba\xbe").look(), "LUKS");
  EXPECT_EQ(Disk().put(512, "EFI PART").look(), "a GPT partition table");
  EXPECT_EQ(Disk().put(MiB - 512, "EFI PART").look(), "the backup of a GPT partition table");
  EXPECT_EQ(Disk().put(4096, "\xfc\x4e\x2b\xa9").look(), "a Linux software RAID member");
  EXPECT_EQ(Disk().put(0, "BRINDLE1").look(), "a Brindle pool");
  EXPECT_EQ(Disk().put(150 * KiB, std::string_view("\x0c\xb1\xba\0\0\0\0\0", 8)).look(), "ZFS");
}

TEST(Signature, a_partition_table_of_the_old_kind_needs_an_entry_that_makes_sense) {
  Disk disk;
  disk.put(510, "\x55\xaa");
  EXPECT_EQ(disk.look(), "");
  disk.put(446 + 4, "\x83").put(446 + 12, "\x01");
  EXPECT_EQ(disk.look(), "an MBR partition table");
}

}  // namespace brindle::daemon
