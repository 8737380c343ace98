// server.h: the process behind an attachment by loop: it serves one volume as a file until it is detached.
//
// Holds:  1. While the daemon is away, I/O waits; the process looks for it again and again, and goes on with the volume of
//            the same uuid, whatever its name is then.
//         2. When the daemon says that this volume is gone, I/O fails.
//         3. SIGTERM ends it once nobody has the file open, and never before: a file system above would lose its writes.
//            SIGHUP makes it look for the daemon at once, and ask for the volume's present size.
// Disk:   all that was written is flushed when it ends by itself.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "serve/attach/records.h"
#include "serve/attach/volume_link.h"

namespace brindle::attach {

struct ServeOptions {
  Place place;
  std::string name;         // at the start
  std::string file_name;    // of the file in place.disk()
  std::string nbd_socket;
  bool read_only = false;
  bool overlay = false;     // writes are kept aside, and do not reach the volume
};

/// Serves, and returns the process's exit status. `ready` is called once, when the file is there (with ok) or when it
/// cannot be (with the reason).
int serve(const ServeOptions& options, const FindVolume& find, const std::function<void(Status)>& ready);

}  // namespace brindle::attach
