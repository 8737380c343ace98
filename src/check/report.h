// report.h: what the verifier found.
#pragma once

#include <string>
#include <vector>

#include "base/units.h"

namespace brindle {

/// One damaged range, once for each volume and snapshot that holds it.
struct CheckDamage {
  std::string volume;  // "db" or "db@monday"; "" for the pool's own structures and for what no volume holds any more
  u64 offset = 0;      // bytes within it; for "" the byte address on the device
  u64 length = 0;
  std::string kind;    // "superblock", "table", "map", "checksum", "io", "space", "log"
  std::string note;    // what is wrong, in words

  friend bool operator==(const CheckDamage&, const CheckDamage&) = default;
};

struct CheckReport {
  std::vector<CheckDamage> damage;  // by volume and offset
  u64 checkpoint = 0;               // the number of the checkpoint that was looked at
  u64 last_batch = 0;               // what the log goes on to; without the log: the last below the checkpoint
  u64 volumes = 0;
  u64 snapshots = 0;
  u64 roots = 0;     // hidden ones too
  u64 segments = 0;
  u64 pages = 0;     // of maps
  u64 blocks = 0;    // of data that some map names
  u64 batches = 0;   // of the log behind the checkpoint
  u64 bytes = 0;     // that were read
  bool staged = false;  // not closed in order, and the end of the log may stand in staging memory, which nobody looked at

  bool clean() const { return damage.empty(); }
};

}  // namespace brindle
