// nbd_netlink.h: what one asks of the kernel's nbd driver, and what it tells, over generic netlink.
//
// Plain netlink: four messages of a few numbers are less than a library for all of them would bring.
// Holds:  a device carries a text of ours, its `backend`: by it the device is known again, and one of somebody else's is never
//         touched. Kernels have that from 5.14 on; an older driver counts as none.
// Caller: root (CAP_SYS_ADMIN) in the first network namespace: elsewhere the kernel does not show the driver.
// Fails:  unsupported (no such driver), io (with what the kernel says).
// Source: Linux, include/uapi/linux/nbd-netlink.h, genetlink.h.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "base/units.h"

namespace brindle::attach {

class NbdNetlink {
 public:
  /// Looks for the driver, and loads its module where there is one. Fails: unsupported.
  static Result<NbdNetlink> open();

  struct Device {
    std::string backend;
    int socket = -1;      // negotiated, with simple replies; the kernel keeps the connection when we close ours
    u64 size = 0;         // bytes
    u16 flags = 0;        // NBD_FLAG_*, as the server sent them
  };
  /// Makes a device of the connection, on a number that is free. Its number.
  Result<u32> connect(const Device& device);
  /// Gives the device another connection in place of the one that has died. A device whose connection is alive leaves it as it is, and says
  /// nothing of that.
  Status reconnect(u32 number, const std::string& backend, int socket);
  Status resize(u32 number, const std::string& backend, u64 size);
  /// Ends the connection; whatever waits for it fails, and so does all I/O from now on. The device stays until its last user closes it.
  Status disconnect(u32 number);

  /// From now on the kernel tells of connections that die.
  Status listen();
  /// What to poll for reading, after listen().
  int fd() const { return socket_.get(); }
  /// Takes what the kernel has told since the last call. True: this device's connection died, or it may have.
  bool link_died(u32 number);

 private:
  explicit NbdNetlink(Fd socket) : socket_(std::move(socket)) {}
  Status find_family();

  Fd socket_;
  u16 family_ = 0;
  u32 group_ = 0;  // of the events
};

}  // namespace brindle::attach
