// verify.h: the verifier: a reader of pools with its own eyes.
//
// It shares the parsers of src/format with the engine and nothing else: it walks superblocks, tables, maps and log by
// itself, and compares what it reached with what the pool's own account says.
//
// Holds:  1. It only reads. Whatever bytes the device has, it ends, and its memory is bounded by the device's size: a few
//            bits for each block, and a cache of pages.
//         2. A report without damage means: every checksum is right, every name leads to one live slot and every live
//            slot has a name, and what two roots share they share by inheritance.
//         3. Nothing is judged by what could not be read: where a table or a map is damaged, slots without a name may
//            belong to what it held, and are not reported.
// Caller: any runtime whose device nobody writes to; or the daemon, online: after a checkpoint and with a ReadGuard held,
//         so that nothing which the newest durable checkpoint names is given again, and without `log`.
// Fails:  invalid (not a pool), unsupported (a newer version), cancelled. Everything else is in the report.
#pragma once

#include <functional>
#include <optional>

#include "base/result.h"
#include "base/uuid.h"
#include "check/report.h"
#include "device/device.h"
#include "runtime/runtime.h"
#include "runtime/task.h"

namespace brindle {

/// A range of the device whose bytes were compared with a checksum; for tests of the verifier itself.
struct CheckedRange {
  u64 offset = 0;
  u64 length = 0;
  const char* what = "";
};

struct VerifyOptions {
  bool read_data = true;  // compare the checksum of every block of data too
  bool log = true;        // look at the log behind the checkpoint, and tell volumes as they are at its end
  std::vector<CheckedRange>* checked = nullptr;
  std::optional<Uuid> uuid{};  // that the labels of its devices tell
};

/// May be looked at from the verifier's own thread only.
struct VerifyProgress {
  u64 done = 0;       // bytes
  u64 total = 0;      // an estimate; 0: not known yet
  bool stop = false;  // set by the caller to end early
  std::function<bool()> gives_way;  // asked before each read: true ends it early too
};

/// `progress` may be null.
Task<Result<CheckReport>> verify(Runtime& runtime, Device& device, VerifyOptions options, VerifyProgress* progress);

}  // namespace brindle
