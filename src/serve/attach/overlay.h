// overlay.h: what is written over a snapshot while it is mounted: the replay of a file system's journal, nothing else.
//
// A snapshot of a mounted file system needs its journal replayed before it shows what was in it; the snapshot itself never
// changes. So the replay goes into a file without a name beside the attachment's records, and vanishes with it.
// Holds:  a sector that was written reads as written; all others read as the snapshot's.
// Caller: the event loop; file I/O on the host's page cache, short.
// Fails:  no_space (the host's disk is full), io.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "base/units.h"
#include "base/fd.h"

namespace brindle::attach {

class Overlay {
 public:
  static constexpr u64 sector = 512;  // the smallest piece that a loop device writes

  /// `folder`: where the file is made.
  static Result<std::unique_ptr<Overlay>> open(const std::string& folder);

  /// Whole sectors. Fails also: invalid (not whole ones).
  Status write(u64 offset, Bytes from);
  /// Puts what was written within [offset, offset + into.size()) over `into`.
  Status patch(u64 offset, MutBytes into) const;

 private:
  explicit Overlay(Fd file) : file_(std::move(file)) {}

  Fd file_;
  std::unordered_map<u64, u64> places_;  // sector of the snapshot -> sector of the file
};

}  // namespace brindle::attach
