// flusher.h: flushes of the device, none of which is taken for good when one beside it failed.
//
// A kernel that could not write something back tells so once, to one who asks. Another flush that runs at the same time, and any
// later one, is told that all is well, although what it was to make durable may be gone.
//
// Holds:  `flush` returns ok only when no flush that began before it ended has failed. Once one failed, all fail.
// Caller: the pool's home core: log, checkpoints and superblocks alike.
// Disk:   on ok, everything that was written before the call is durable.
#pragma once

#include <optional>
#include <set>

#include "device/device.h"
#include "runtime/sync.h"

namespace brindle {

class Flusher {
 public:
  Flusher(Runtime& runtime, Device& device) : device_(device), ended_(runtime) {}

  Task<Status> flush();
  /// The same for what writes something of its own and flushes it. Fails: as that does.
  Task<Status> run(Task<Status> flushing);

 private:
  Device& device_;
  std::optional<Error> failed_;
  std::set<u64> running_;  // by when they began
  u64 begun_ = 0;
  Signal ended_;
};

}  // namespace brindle
