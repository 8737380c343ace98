// driver.h: the drivers of the kernel that make a block device of a volume, behind one face.
//
// nbd   the kernel itself speaks NBD to the daemon; the serving process (nbd_keeper.h) gives it another connection when the daemon
//       comes back.
// loop  the serving process (server.h) serves the volume as a file through FUSE, and a loop device lies over that.
// Holds:  an attachment's devices are found by what the kernel keeps of them, whether or not its process is alive.
// Caller: root, with the attachment's lock; find() anybody.
// Fails:  unsupported (the kernel lacks it), io, busy.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "serve/attach/records.h"

namespace brindle::attach {

class Driver {
 public:
  virtual ~Driver() = default;

  virtual const char* name() const = 0;
  /// Refuses with what is missing.
  virtual Status check() const = 0;
  /// Snapshots can be written over while they are mounted, so that journals are replayed.
  virtual bool has_overlay() const = 0;
  /// Without its process all I/O fails at once.
  virtual bool needs_process() const = 0;

  /// The process serves: the device, "/dev/nbd3".
  virtual Result<std::string> make(const Place& place, const Record& record, bool read_only) const = 0;
  virtual std::vector<std::string> find(const Place& place) const = 0;
  /// The serving process knows of the volume's new size: lets the device have it.
  virtual Status refresh(const Place& place, const Record& record) const = 0;
  /// Nobody needs it any more. Where someone has it open, waits `patience_ms` for the end of that. Fails: busy (still open; nothing has
  /// changed then, or, with `force`, it is gone with the last close).
  virtual Status detach(const Place& place, const std::string& device, int patience_ms, bool force) const = 0;
  /// Ends the serving process, and all I/O that waits for the daemon, with errors.
  virtual void abandon(const Place& place, pid_t pid) const = 0;
};

/// Of this name; loop for any other, as records of before had none.
const Driver& driver_named(const std::string& name);
/// Of all drivers: what the kernel has of the attachment.
struct FoundDevice {
  const Driver* driver;
  std::string device;
};
std::vector<FoundDevice> find_devices(const Place& place);
/// What to attach by when nobody says: nbd where the kernel has it, as it is faster; but loop where an overlay is wanted and
/// can be had.
const Driver& driver_chosen(bool overlay);

}  // namespace brindle::attach
