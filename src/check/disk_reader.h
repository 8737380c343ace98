// disk_reader.h: reads any byte range of the device, never beyond its end, and counts what was read.
//
// Fails:  corrupt (beyond the end, or not matching its checksum), io, cancelled (the caller's progress says stop).
#pragma once

#include <vector>

#include "check/verify.h"
#include "format/tables.h"

namespace brindle {

class DiskReader {
 public:
  DiskReader(Device& device, const VerifyOptions& options, VerifyProgress& progress)
      : device_(device), options_(options), progress_(progress), size_(device.size()) {}

  u64 size() const { return size_; }
  /// Online the device grows before a checkpoint tells of it: to be called once it is known which one is looked at.
  void measure() { size_ = device_.size(); }
  bool within(u64 offset, u64 length) const { return offset <= size_ && length <= size_ - offset; }
  bool stopped() const {
    if (progress_.gives_way && progress_.gives_way()) progress_.stop = true;
    return progress_.stop;
  }
  u64 bytes() const { return bytes_; }

  Task<Result<std::vector<std::byte>>> read(u64 offset, u64 length);
  /// The same, with the checksum compared.
  Task<Result<std::vector<std::byte>>> read(Place place, const char* what);
  /// Whole blocks into aligned memory.
  Task<Status> read_blocks(u64 offset, MutBytes into);
  /// Notes that these bytes matched their checksum.
  void checked(u64 offset, u64 length, const char* what) {
    if (options_.checked != nullptr) options_.checked->push_back({offset, length, what});
  }

 private:
  Device& device_;
  const VerifyOptions& options_;
  VerifyProgress& progress_;
  u64 size_;
  u64 bytes_ = 0;
};

}  // namespace brindle
