#include "pool/pool.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "pool/sink.h"

namespace brindle {

namespace {

// Kept from writes so that deletions, checkpoints and compaction always have room: a few chunks for what is open, and a
// part of the whole so that compaction finds enough that is dead.
constexpr u64 reserve_chunks = 10;
constexpr u64 reserve_part = 32;
constexpr u64 reserve_more_max = 16;  // so many chunks at most once more that part: a small pool has less to find
// Tables are counted in units of this, so that their ups and downs by a few bytes do not show in `used`.
constexpr u64 table_unit = 64 * KiB;
// A read that spans several places on the device asks for this many at a time.
constexpr u64 pieces_max = 64;

}  // namespace

Pool::Pool(Runtime& runtime, Device& device, PoolClient& client, PoolOptions options)
    : runtime_(runtime),
      device_(device),
      flusher_(runtime, device),
      client_(client),
      options_(options),
      space_(chunk_size_min),
      checkpointing_(runtime),
      compacting_(runtime),
      filling_(runtime),
      making_room_(runtime),
      upkeep_(runtime),
      filler_(runtime),
      room_maker_(runtime),
      gate_(runtime) {}

Pool::~Pool() = default;

void Pool::latch(const Error& why) {
  if (latched_) return;
  latched_ = why;
  if (log_) log_->latch(why);
  upkeep_.notify_all();
  filler_.notify_all();
  room_maker_.notify_all();
}

// --- requests -------------------------------------------------------------------------------------------------------

Task<Status> Pool::write(RootId head, u64 first_block, const std::byte* blocks, u64 count) {
  if (auto status = co_await admit(count); !status) co_return status;
  co_return co_await log_->write(head, first_block, blocks, count);
}

Task<Status> Pool::zero(RootId head, u64 first_block, u64 count) { return log_->zero(head, first_block, count); }

Task<Status> Pool::command(Command command) { return log_->command(std::move(command)); }

// --- reading --------------------------------------------------------------------------------------------------------

Task<Result<std::vector<std::byte>>> Pool::read_page(PageRef page) {
  const ReadGuard guard(space_);
  u64 run = 0;
  const auto offset = space_.locate(page.name, &run);
  if (!offset || run < page.slots()) {
    co_return Error{Code::corrupt, fmt::format("a page of a map is in no segment (segment {}, slot {})",
                                               page.name.segment(), page.name.slot())};
  }
  const u64 from = round_down(*offset, block_size);
  AlignedBuffer buffer(round_up(*offset + page.length, block_size) - from);
  const MutBytes into = buffer.span();
  if (auto status = co_await device_.read(from, into); !status) co_return status.error();
  counters_.page_bytes_read += into.size();
  const Bytes bytes = into.subspan(*offset - from, page.length);
  if (crc32c(bytes) != page.crc && !planted(Plant::page_unchecked)) {
    co_return Error{Code::corrupt, fmt::format("a page of a map is damaged (segment {}, slot {})", page.name.segment(),
                                               page.name.slot())};
  }
  co_return std::vector<std::byte>(bytes.begin(), bytes.end());
}

namespace {

/// Neighbours on the device that go to neighbours in memory, or nearly: one device read.
struct Piece {
  u64 offset = 0;
  size_t first = 0;  // index into the blocks
  std::vector<iovec> into;
};

Task<void> read_piece(Device& device, const Piece& piece, std::span<BlockRead> blocks, Status& status) {
  Status read = co_await device.read(piece.offset, piece.into);
  if (!read) read = co_await device.read(piece.offset, piece.into);  // an error that passes costs only time
  if (!read) {
    status = read;
    co_return;
  }
  size_t at = piece.first;
  for (const iovec& vector : piece.into) {
    for (u64 done = 0; done < vector.iov_len; done += block_size, ++at) {
      BlockRead& block = blocks[at];
      if (crc32c({block.into, block_size}) == block.crc || planted(Plant::block_unchecked)) continue;
      block.damaged = true;
      status = Error{Code::corrupt, fmt::format("a block's checksum is wrong (segment {}, slot {})",
                                                block.name.segment(), block.name.slot())};
    }
  }
}

}  // namespace

Task<Status> Pool::read_blocks(std::span<BlockRead> blocks) {
  std::vector<Piece> pieces;
  u64 expected = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto offset = space_.locate(blocks[i].name);
    if (!offset) {
      co_return Error{Code::corrupt, fmt::format("a block is in no segment (segment {}, slot {})",
                                                 blocks[i].name.segment(), blocks[i].name.slot())};
    }
    if (pieces.empty() || *offset != expected || pieces.back().into.size() == pieces_max) {
      pieces.push_back({*offset, i, {}});
    }
    auto& into = pieces.back().into;
    if (!into.empty() && static_cast<std::byte*>(into.back().iov_base) + into.back().iov_len == blocks[i].into) {
      into.back().iov_len += block_size;
    } else {
      into.push_back({blocks[i].into, block_size});
    }
    expected = *offset + block_size;
  }
  counters_.data_bytes_read += blocks.size() * block_size;
  Status status;
  if (pieces.size() == 1) {
    co_await read_piece(device_, pieces.front(), blocks, status);
    co_return status;
  }
  for (size_t from = 0; from < pieces.size(); from += pieces_max) {
    Gate gate(runtime_);
    for (size_t i = from; i < std::min(pieces.size(), from + pieces_max); ++i) {
      gate.spawn(read_piece(device_, pieces[i], blocks, status));
    }
    co_await gate.close();
  }
  co_return status;
}

// --- the account ----------------------------------------------------------------------------------------------------

PoolCounters Pool::counters() const {
  PoolCounters counters = counters_;
  if (log_) counters.log_bytes_written = log_->device_bytes();
  if (page_writer_) counters.page_bytes_written = page_writer_->bytes_written();
  if (table_writer_) counters.table_bytes_written = table_writer_->bytes_written();
  return counters;
}

u64 Pool::size() const { return space_.capacity_chunks() * space_.chunk_size(); }

u64 Pool::used() const {
  const u64 log = log_ ? log_->replay_bytes() : 0;
  return 2 * block_size + space_.live_blocks() * block_size + space_.live_page_bytes() + log +
         round_up(space_.table_bytes(), table_unit);
}

u64 Pool::reserve_bytes() const {
  if (planted(Plant::no_reserve)) return 0;
  const u64 part = space_.capacity_chunks() / reserve_part;
  return (reserve_chunks + part + std::min(part, reserve_more_max)) * space_.chunk_size();
}

u64 Pool::free() const {
  const u64 log = log_ ? log_->blocks_under_way() * block_size : 0;
  const u64 taken = used() + client_.dirty_disk_bytes() + reserve_bytes() + log;
  return size() > taken ? size() - taken : 0;
}

Task<Status> Pool::grow(u64 bytes) {
  if (bytes < size()) {
    co_return Error{Code::invalid,
                    fmt::format("a pool cannot shrink: it may grow to {} bytes now, so give more", size())};
  }
  const Status raised = co_await device_.set_size_max(bytes);
  if (!raised && device_.size_max() < bytes) co_return raised;
  // Another may have raised it further meanwhile.
  space_.set_capacity(std::max(bytes / space_.chunk_size(), space_.capacity_chunks()));
  filler_.notify_all();
  room_maker_.notify_all();
  co_return Status{};
}

}  // namespace brindle
