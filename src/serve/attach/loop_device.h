// loop_device.h: the kernel's loop device over a file.
//
// Holds:  a device is found again by the path of its file, as the kernel tells it in sysfs, whether or not the file's server
//         is alive.
// Caller: root (CAP_SYS_ADMIN); not the process that serves the file, which would wait for itself.
// Fails:  io, unsupported (the kernel has no loop devices), busy.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace brindle::attach {

/// A loop device over the file, with direct I/O and its partitions shown: "/dev/loop3".
Result<std::string> loop_attach(const std::string& file, bool read_only);

/// The devices whose file's path has this part ("/UUID/disk/"), as the kernel has them now.
std::vector<std::string> loop_find(const std::string& part);

/// Takes the file's present size over.
Status loop_refresh(const std::string& device);

/// Lets go of the file. Where someone has the device open, waits `patience_ms` for the end of that.
/// Fails: busy (still open; nothing has changed then, or, with `when_closed`, it happens at the last close); io, unless it `may_lose` what
/// others have written and the file does not take.
Status loop_detach(const std::string& device, int patience_ms, bool when_closed, bool may_lose);

}  // namespace brindle::attach
