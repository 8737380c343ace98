// file_system.h: what a device holds, making a file system on it, and mounting it.
//
// Caller: root, for all but the probe.
// Fails:  exists (a signature is there), not_found (mkfs is not installed; the message names the package), io, busy.
#pragma once

#include <string>

#include "base/result.h"
#include "base/units.h"

namespace brindle::attach {

/// The type of the file system ("ext4"), or "gpt partition table", "swap" and the like; "" where no signature is known.
Result<std::string> probe_device(const std::string& device);

/// Whether --mkfs knows it: ext4, xfs, btrfs.
bool can_make(const std::string& type);
/// Makes one. `holds`: bytes that the device is known to hold. `force`: over whatever is there.
Status make_file_system(const std::string& device, const std::string& type, u64 holds, bool force);

/// Mounts what the device holds. A snapshot or a clone has the same file system UUID as its origin, and may be mounted beside it.
Status mount_device(const std::string& device, const std::string& point, bool read_only);

}  // namespace brindle::attach
