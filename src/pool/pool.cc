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
// A page that replay needs is asked for again so often: a second in all.
constexpr u64 page_tries = 10;
constexpr u64 page_pause_ns = 100 * millisecond_ns;

}  // namespace

Pool::Pool(Runtime& runtime, Device& device, PoolClient& client, PoolOptions options)
    : runtime_(runtime),
      device_(device),
      flusher_(runtime, device),
      client_(client),
      options_(options),
      pace_(options.dirty_memory_max),
      space_(chunk_size_min),
      holes_(space_),
      checkpointing_(runtime),
      compacting_(runtime),
      filling_(runtime),
      making_room_(runtime),
      upkeep_(runtime),
      filler_(runtime),
      room_maker_(runtime),
      checkpointer_(runtime),
      memory_(runtime),
      gate_(runtime) {}

Pool::~Pool() = default;

void Pool::latch(const Error& why) {
  if (latched_) return;
  latched_ = why;
  if (log_) log_->latch(why);
  upkeep_.notify_all();
  filler_.notify_all();
  room_maker_.notify_all();
  checkpointer_.notify_all();
  memory_.notify_all();
}

// --- requests -------------------------------------------------------------------------------------------------------

Task<Status> Pool::write(RootId head, u64 first_block, const std::byte* blocks, u64 count, const u32* crcs) {
  // Mostly there is room, and nothing to wait for.
  if (admitted(count)) {
    log_->promise(count);
    return log_->write(head, first_block, blocks, count, crcs);
  }
  return write_admitted(head, first_block, blocks, count, crcs);
}

Task<Status> Pool::write_admitted(RootId head, u64 first_block, const std::byte* blocks, u64 count, const u32* crcs) {
  if (auto status = co_await admit(count); !status) co_return status;
  log_->promise(count);
  co_return co_await log_->write(head, first_block, blocks, count, crcs);
}

Task<Status> Pool::zero(RootId head, u64 first_block, u64 count) { return log_->zero(head, first_block, count); }

Task<Status> Pool::command(Command command) { return log_->command(std::move(command)); }

// --- reading --------------------------------------------------------------------------------------------------------

Task<Result<PageBytes>> Pool::read_page(PageRef page) {
  const ReadGuard guard(space_);
  u64 run = 0;
  const auto offset = space_.locate(page.name, &run);
  if (!offset || run < page.slots()) {
    co_return Error{Code::corrupt, fmt::format("a page of a map is in no segment (segment {}, slot {})",
                                               page.name.segment(), page.name.slot())};
  }
  const u64 from = round_down(*offset, block_size);
  PageBytes read{AlignedBuffer(round_up(*offset + page.length, block_size) - from), *offset - from, page.length};
  const MutBytes into = read.buffer.span();
  Status status = co_await device_.read(from, into);
  // While the log is replayed nobody else waits, and all would wait for ever for what is not replayed.
  for (u64 tries = 0; !status && !log_ && tries < page_tries; ++tries) {
    co_await runtime_.sleep(page_pause_ns);
    status = co_await device_.read(from, into);
  }
  if (!status) co_return status.error();
  counters_.page_bytes_read += into.size();
  if (crc32c(read.bytes()) != page.crc && !planted(Plant::page_unchecked)) {
    co_return Error{Code::corrupt, fmt::format("a page of a map is damaged (segment {}, slot {})", page.name.segment(),
                                               page.name.slot())};
  }
  co_return read;
}

Status Pool::place_blocks(std::span<BlockRead> blocks) {
  for (BlockRead& block : blocks) {
    const auto offset = space_.locate(block.name);
    if (!offset) {
      return Error{Code::corrupt, fmt::format("a block is in no segment (segment {}, slot {})", block.name.segment(),
                                              block.name.slot())};
    }
    block.offset = *offset;
  }
  counters_.data_bytes_read += blocks.size() * block_size;
  return {};
}

Task<Status> Pool::read_blocks(std::span<BlockRead> blocks) {
  if (auto status = place_blocks(blocks); !status) co_return status;
  co_return co_await read_placed(runtime_, device_, blocks);
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

u64 Pool::used_at_rest() const {
  return 2 * block_size + space_.live_blocks() * block_size + space_.live_page_bytes() +
         round_up(space_.table_bytes() - std::min(changes_bytes_, space_.table_bytes()), table_unit);
}

u64 Pool::used() const { return used_at_rest() + (log_ ? log_->replay_bytes() : 0); }

u64 Pool::reserve_bytes() const {
  if (planted(Plant::no_reserve)) return 0;
  const u64 part = space_.capacity_chunks() / reserve_part;
  return (reserve_chunks + part + std::min(part, reserve_more_max)) * space_.chunk_size();
}

u64 Pool::free() const {
  const u64 log = log_ ? log_->blocks_under_way() * block_size : 0;
  const u64 taken = used() + client_.dirty_bytes() + reserve_bytes() + log;
  return size() > taken ? size() - taken : 0;
}

u64 Pool::free_at_rest() const {
  const u64 taken = used_at_rest() + reserve_bytes();
  return size() > taken ? size() - taken : 0;
}

Task<Status> Pool::grow(u64 bytes) {
  if (bytes < size()) {
    co_return Error{Code::invalid,
                    fmt::format("a pool cannot shrink: it may grow to {} bytes now, so give more", size())};
  }
  // A root tells of each chunk by a bit, and lies in one.
  if (const u64 most = space_.chunk_size() * 4 * space_.chunk_size(); bytes > most) {
    co_return Error{Code::invalid, fmt::format("a pool that was made so small grows to {} bytes at most: make a new one", most)};
  }
  // Of several members each writes and flushes its label for it, in the midst of the log.
  const Status raised = co_await flusher_.run(device_.set_size_max(bytes));
  if (!raised && raised.code() == Code::io) {
    latch({Code::io, fmt::format("growing failed, so nobody knows what is on disk: {}", raised.error().message)});
    co_return raised;
  }
  if (!raised && device_.size_max() < bytes) co_return raised;
  // Another may have raised it further meanwhile.
  space_.set_capacity(std::max(bytes / space_.chunk_size(), space_.capacity_chunks()));
  filler_.notify_all();
  room_maker_.notify_all();
  co_return Status{};
}

}  // namespace brindle
