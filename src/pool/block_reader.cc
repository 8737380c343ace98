#include "pool/block_reader.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "device/vectors.h"
#include "runtime/sync.h"

namespace brindle {

namespace {

// A read that spans several places on the device asks for this many at a time.
constexpr u64 pieces_max = 64;

/// Neighbours on the device that go to neighbours in memory, or nearly: one device read.
struct Piece {
  u64 offset = 0;
  size_t first = 0;  // index into the blocks
  size_t count = 0;
  std::vector<iovec> into;
};

void verify(std::span<BlockRead> blocks, Status& status) {
  for (BlockRead& block : blocks) {
    if (crc32c({block.into, block_size}) == block.crc || planted(Plant::block_unchecked)) continue;
    block.damaged = true;
    status = Error{Code::corrupt, fmt::format("a block's checksum is wrong (segment {}, slot {})", block.name.segment(),
                                              block.name.slot())};
  }
}

Task<void> read_piece(DeviceReader& device, const Piece& piece, std::span<BlockRead> blocks, Status& status) {
  Status read = co_await device.read(piece.offset, piece.into);
  if (!read) read = co_await device.read(piece.offset, piece.into);
  if (read) {
    verify(blocks.subspan(piece.first, piece.count), status);
  } else {
    status = read;
  }
}

std::vector<Piece> pieces_of(std::span<const BlockRead> blocks) {
  std::vector<Piece> pieces;
  u64 expected = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const BlockRead& block = blocks[i];
    if (pieces.empty() || block.offset != expected || pieces.back().into.size() == pieces_max) {
      pieces.push_back({block.offset, i, 0, {}});
    }
    Piece& piece = pieces.back();
    append_joined(piece.into, block.into, block_size);
    ++piece.count;
    expected = block.offset + block_size;
  }
  return pieces;
}

}  // namespace

Task<Status> read_placed(Runtime& runtime, DeviceReader& device, std::span<BlockRead> blocks) {
  Status status;
  if (blocks.size() == 1) {  // most reads; they need no lists
    const iovec one{blocks[0].into, block_size};
    const std::span<const iovec> into(&one, 1);
    status = co_await device.read(blocks[0].offset, into);
    if (!status) status = co_await device.read(blocks[0].offset, into);
    if (status) verify(blocks, status);
    co_return status;
  }
  const std::vector<Piece> pieces = pieces_of(blocks);
  if (pieces.size() == 1) {
    co_await read_piece(device, pieces.front(), blocks, status);
    co_return status;
  }
  for (size_t from = 0; from < pieces.size(); from += pieces_max) {
    Gate gate(runtime);
    for (size_t i = from; i < std::min(pieces.size(), from + pieces_max); ++i) {
      gate.spawn(read_piece(device, pieces[i], blocks, status));
    }
    co_await gate.close();
  }
  co_return status;
}

}  // namespace brindle
