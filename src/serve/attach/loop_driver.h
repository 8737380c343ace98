// loop_driver.h: a loop device over the file that the serving process serves through FUSE. For kernels without nbd, which need two
// crossings of the kernel more for each request, and for mounted snapshots, whose journals are replayed in an overlay (overlay.h).
//
// As driver.h says.
#pragma once

#include "serve/attach/driver.h"

namespace brindle::attach {

class LoopDriver final : public Driver {
 public:
  const char* name() const override { return "loop"; }
  Status check() const override;
  bool has_overlay() const override { return true; }
  bool needs_process() const override { return true; }
  Result<std::string> make(const Place& place, const Record& record, bool read_only) const override;
  std::vector<std::string> find(const Place& place) const override;
  Status refresh(const Place& place, const Record& record) const override;
  Status detach(const Place& place, const std::string& device, int patience_ms, bool force) const override;
  void abandon(const Place& place, pid_t pid) const override;
};

}  // namespace brindle::attach
