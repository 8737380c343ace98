// attach.h: attaching a volume as a block device of this machine, and undoing it; everything but the command line.
//
// One of two drivers of the kernel makes the device (driver.h), and a background process behind it outlives the daemon.
// Holds:  1. An attach that failed leaves nothing behind.
//         2. A detach without `force` loses nothing: it refuses while somebody uses the device, or while writes wait for a
//            daemon that is away.
// Caller: root (CAP_SYS_ADMIN); list() anybody who may read the state folder.
// Fails:  exists (attached already), busy, not_found, unsupported (privileges, kernel), io.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "serve/attach/records.h"

namespace brindle::attach {

struct AttachRequest {
  std::string folder;       // attach_folder()
  std::string name;         // of the volume or snapshot
  std::string uuid;
  bool snapshot = false;    // read-only
  std::string driver;       // "nbd", "loop", or "": what suits
  std::string mount;        // absolute, or "": not mounted
  std::string mkfs;         // a type, or ""
  u64 holds = 0;            // bytes that the volume holds, whatever they are: for mkfs, which asks for `force` then
  bool force = false;       // mkfs over what is there
  /// The command line of the serving process, less what attach() adds: `--ready-fd N`, `--driver` and `--overlay`.
  std::vector<std::string> server;
};

struct Attachment {
  Place place;
  std::string name, uuid;
  std::string driver, device;
  std::vector<std::string> mounts;
  bool read_only = false;
  u64 size = 0;
  pid_t pid = 0;            // 0: the serving process is dead, and I/O fails (with nbd: once the daemon ends)
  bool connected = false;   // the process has the daemon
};

/// Refuses with what is missing: a privilege.
Status attach_check();
Result<Attachment> attach(const AttachRequest& request);
/// All of them; what a restart of the machine left is cleaned away.
std::vector<Attachment> list(const std::string& folder);
/// `force`: whatever it takes, losing what has not been flushed.
Status detach(const Attachment& attachment, bool force);
/// Lets the device follow the volume's size, which is `size` now.
Status refresh(const Attachment& attachment, u64 size);

}  // namespace brindle::attach
