// outpost.h: what another core does by itself of reading and writing volumes, so that the engine's core need not.
//
//   read:   names and places are looked up at home -> the outpost reads the device and compares checksums -> home is told that
//           the read has ended
//   write:  the outpost makes the checksums -> the request joins a batch at home -> its end comes back
//
// Holds:  1. Pool, log, maps and catalog are touched at home alone; whatever touches payload runs on the outpost's core.
//         2. A read is guarded at home from its look-up until home has heard of its end: nothing is put where its blocks lie.
//         3. The messages of a turn travel together, both ways (Runtime::send).
// Caller: the outpost's core; it is destroyed once nothing runs there that knows it. Handles live and die at home, and stay until
//         the calls with them have returned.
// Fails:  as the handle's own calls.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/units.h"
#include "runtime/task.h"

namespace brindle {

class Handle;

class Outpost {
 public:
  Outpost() = default;
  Outpost(const Outpost&) = delete;
  Outpost& operator=(const Outpost&) = delete;
  virtual ~Outpost() = default;

  /// As Handle::read and Handle::write.
  virtual Task<Status> read(Handle& handle, u64 offset, MutBytes into) = 0;
  virtual Task<Status> write(Handle& handle, u64 offset, Bytes from, bool fua) = 0;
  /// Home has heard of the end of every read. The engine must not close before.
  virtual Task<Status> close() = 0;
};

}  // namespace brindle
