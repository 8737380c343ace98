#include "check/disk_reader.h"

#include <fmt/format.h>

#include "base/aligned.h"
#include "base/crc32c.h"

namespace brindle {

Task<Status> DiskReader::read_blocks(u64 offset, MutBytes into) {
  if (stopped()) co_return Error{Code::cancelled, "the check was ended"};
  if (!within(offset, into.size())) co_return Error{Code::corrupt, "it lies beyond the end of the device"};
  bytes_ += into.size();
  progress_.done += into.size();
  co_return co_await device_.read(offset, into);
}

Task<Result<std::vector<std::byte>>> DiskReader::read(u64 offset, u64 length) {
  if (!within(offset, length)) co_return Error{Code::corrupt, "it lies beyond the end of the device"};
  const u64 from = round_down(offset, block_size);
  AlignedBuffer buffer(round_up(offset + length, block_size) - from);
  const MutBytes into = buffer.span();
  if (auto status = co_await read_blocks(from, into); !status) co_return status.error();
  const Bytes bytes = buffer.span().subspan(offset - from, length);
  co_return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Task<Result<std::vector<std::byte>>> DiskReader::read(Place place, const char* what) {
  auto bytes = co_await read(place.offset, place.length);
  if (!bytes) co_return bytes.error();
  if (crc32c(*bytes) != place.crc) co_return Error{Code::corrupt, "its checksum is wrong"};
  checked(place.offset, place.length, what);
  co_return bytes;
}

}  // namespace brindle
