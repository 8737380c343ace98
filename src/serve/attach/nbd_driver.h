// nbd_driver.h: a device of the kernel's own NBD client, whose connections the serving process (nbd_keeper.h) makes and hands over.
//
// As driver.h says. The device belongs to no process: should its keeper be killed, it works on until the daemon ends.
#pragma once

#include "serve/attach/driver.h"

namespace brindle::attach {

/// By it the kernel knows the attachment's device.
std::string nbd_backend(const Place& place);

class NbdDriver final : public Driver {
 public:
  const char* name() const override { return "nbd"; }
  Status check() const override;
  bool has_overlay() const override { return false; }
  bool needs_process() const override { return false; }
  Result<std::string> make(const Place& place, const Record& record, bool read_only) const override;
  std::vector<std::string> find(const Place& place) const override;
  Status refresh(const Place& place, const Record& record) const override;
  Status detach(const Place& place, const std::string& device, int patience_ms, bool force) const override;
  void abandon(const Place& place, pid_t pid) const override;
};

}  // namespace brindle::attach
