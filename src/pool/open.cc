// open.cc: making a pool, and opening one: superblock, tables, replay, and a new epoch.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "base/uuid.h"
#include "pool/pool.h"
#include "pool/sink.h"

namespace brindle {

namespace {

// Segment numbers that may be given before the next superblock says so. After a crash all of them count as given.
constexpr u64 segment_numbers_ahead = 4096;
constexpr u64 table_read_max = MiB;

}  // namespace

Task<Status> Pool::open() {
  if (options_.create) {
    if (auto status = co_await format(); !status) co_return status;
  }
  if (auto status = co_await load_superblock(); !status) co_return status;
  counters_.was_staged = (superblock_.features.incompatible & feature_staged) != 0;
  if (!options_.read_only) {
    auto unstaged = co_await device_.unstage(opening_of(superblock_.uuid, superblock_.epoch));
    if (!unstaged) co_return unstaged.error();
    counters_.unstaged_bytes = *unstaged;
  }
  // After a kill the superblock may be in the host's cache alone. What it lets go of is used again from here on, so it must not be
  // possible any more to come back to the one before.
  if (!options_.read_only) {
    if (auto status = co_await flusher_.flush(); !status) co_return status;
    // A copy that is bad, or of the checkpoint before, is written again before what only that one names may be used for something else. The
    // good one is not touched: a write that is torn costs a copy that was no use.
    if (worse_superblock_) {
      if (auto status = co_await put_superblock(*worse_superblock_); !status) co_return status;
    }
  }
  // The pool's own limit counts, not what today's caller would give a new one; a block device keeps to its size.
  if (device_.size_max() < superblock_.size_max) {
    const Status raised = co_await device_.set_size_max(superblock_.size_max);
    static_cast<void>(raised.ok());
  }
  space_ = Space(superblock_.chunk_size);
  space_.set_capacity(superblock_.size_max / superblock_.chunk_size);
  make_writers();
  if (auto status = co_await load_tables(); !status) co_return status;
  if (auto status = client_.tables_loaded(); !status) co_return status;
  const u64 began_ns = runtime_.now_ns();
  auto replayed = co_await replay();
  if (!replayed) co_return replayed.error();
  counters_.replay_us = (runtime_.now_ns() - began_ns) / microsecond_ns;
  if (replayed->damage) latch(*replayed->damage);
  if (options_.read_only) latch({Code::read_only, "the pool was opened read-only"});
  co_return co_await begin_epoch(*replayed);
}

void Pool::make_writers() {
  const auto fill = [this] { return fill_one(); };
  const auto left_pages = [this](u64) { space_.close_segment(page_segment_); };
  const auto left_tables = [this](u64 chunk) { space_.close_chunk(chunk); };
  page_writer_ = std::make_unique<ChunkWriter>(device_, space_, SpaceLevel::checkpoint, ChunkUse::segments, left_pages, fill);
  table_writer_ = std::make_unique<ChunkWriter>(device_, space_, SpaceLevel::checkpoint, ChunkUse::tables, left_tables, fill);
}

/// Lays an empty pool on the device: chunk 0, a first checkpoint of nothing, and both superblocks.
Task<Status> Pool::format() {
  superblock_ = Superblock();
  superblock_.uuid = options_.uuid ? *options_.uuid : fresh_uuid();
  superblock_.chunk_size = chunk_size_for(device_.size_max());
  superblock_.size_max = device_.size_max();
  superblock_.segment_limit = 1;
  superblock_.clean = 1;
  const u64 chunk = superblock_.chunk_size;
  if (superblock_.size_max / chunk < chunks_min) {
    co_return Error{Code::invalid, fmt::format("a pool needs at least {} bytes, and this one could have {}",
                                               chunks_min * chunk, superblock_.size_max)};
  }
  if (auto status = co_await device_.fill(0, 2 * chunk); !status) co_return status;
  CheckpointRoot root;
  root.number = 1;
  root.pool = superblock_.uuid;
  root.chunks_written = 2;
  const std::vector<std::byte> bytes = encode_checkpoint_root(root);
  AlignedBuffer buffer(bytes.size());
  buffer.clear();
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  const Bytes out = buffer.span();
  if (auto status = co_await device_.write(chunk, out); !status) co_return status;
  if (auto status = co_await flusher_.flush(); !status) co_return status;
  superblock_.checkpoint_number = 1;
  superblock_.flushed_number = 1;
  superblock_.root_offset = chunk;
  superblock_.root_length = static_cast<u32>(bytes.size());
  superblock_.root_crc = crc32c(bytes);
  co_return co_await write_superblock();
}

Task<Status> Pool::write_superblock() {
  ++superblock_.generation;
  superblock_.segment_limit = std::max(superblock_.segment_limit, space_.segment_numbers_given() + segment_numbers_ahead);
  superblock_.size_max = std::max(superblock_.size_max, space_.capacity_chunks() * superblock_.chunk_size);
  const auto any_of = [this](TableId table) {
    const auto first = directory_.lower_bound({table, 0});
    return first != directory_.end() && first->first.first == table;
  };
  superblock_.features.incompatible = (any_of(TableId::debts) ? feature_debts : 0) |
                                      (any_of(TableId::changes) ? feature_changes : 0) |
                                      (device_.stages() && superblock_.clean == 0 ? feature_staged : 0);
  seal_superblock(superblock_);
  for (u64 offset : {u64{0}, superblock_b_offset}) {
    if (planted(Plant::one_superblock) && offset != 0) break;
    if (auto status = co_await put_superblock(offset); !status) co_return status;
  }
  co_return Status{};
}

/// One copy, durable.
Task<Status> Pool::put_superblock(u64 offset) {
  AlignedBuffer block(block_size);
  std::memcpy(block.data(), &superblock_, sizeof superblock_);
  const Bytes bytes = block.span();
  if (auto status = co_await device_.write(offset, bytes); !status) co_return status;
  co_return co_await flusher_.flush();
}

Task<Status> Pool::load_superblock() {
  if (device_.size() < superblock_b_offset + block_size) {
    co_return Error{Code::invalid, "it is too short to be a Brindle pool"};
  }
  AlignedBuffer block(block_size);
  MutBytes into = block.span();
  std::optional<Superblock> best;
  Error why{Code::invalid, "it is not a Brindle pool"};
  for (u64 offset : {u64{0}, superblock_b_offset}) {
    if (auto status = co_await device_.read(offset, into); !status) {
      why = status.error();
      continue;
    }
    auto parsed = parse_superblock(into);
    if (parsed && (!best || parsed->generation > best->generation)) {
      best = *parsed;
      worse_superblock_ = offset == 0 ? superblock_b_offset : 0;
    } else if (parsed && parsed->generation == best->generation) {
      worse_superblock_.reset();
    }
    // Of two reasons the more telling one: a copy that is torn says less than one of a newer version.
    if (!parsed && (offset == 0 || parsed.code() != Code::invalid)) why = parsed.error();
  }
  if (!best) co_return why;
  superblock_ = *best;
  if (options_.uuid && *options_.uuid != superblock_.uuid) {
    co_return Error{
        Code::corrupt,
        fmt::format("its superblock is that of pool {}, and its devices are labelled as pool {}: one of them "
                    "was overwritten, so restore it",
                    uuid_text(superblock_.uuid), uuid_text(*options_.uuid))};
  }
  durable_number_ = superblock_.checkpoint_number;
  if (device_.size() < superblock_.root_offset + superblock_.root_length) {
    co_return Error{Code::corrupt, fmt::format("it is cut short: the last checkpoint lies at byte {}, and the device "
                                               "ends at {}",
                                               superblock_.root_offset, device_.size())};
  }
  co_return Status{};
}

Task<Status> Pool::load_tables() {
  const Place root_place{superblock_.root_offset, superblock_.root_length, superblock_.root_crc};
  auto bytes = co_await read_table(root_place);
  if (!bytes) co_return bytes.error();
  auto root = decode_checkpoint_root(*bytes);
  if (!root) co_return root.error();
  if (root->number != superblock_.checkpoint_number || root->pool != superblock_.uuid) {
    co_return Error{Code::corrupt, "the checkpoint's root belongs to another checkpoint"};
  }
  const u64 chunk_size = superblock_.chunk_size;
  // A pool's file never gets shorter: what is missing held data, and more than a checkpoint can tell of is lost.
  if (device_.size() / chunk_size < root->chunks_written) {
    const std::string which =
        device_.parts().size() > 1 ? fmt::format(" (what is missing was on {})", device_.name_at(device_.size())) : "";
    co_return Error{Code::corrupt, fmt::format("it is cut short: it had at least {} bytes, and {} are left{}",
                                               root->chunks_written * chunk_size, device_.size(), which)};
  }
  space_.load_chunks(std::max(root->chunks_written, device_.size() / chunk_size), root->punched);
  space_.load_segment_numbers(superblock_.segment_limit);
  client_.load_counters(root->next_root, root->next_entry);
  root_place_ = root_place;

  std::vector<DirectoryEntry> entries;
  for (const Place& place : root->directory) {
    auto piece = co_await read_table(place);
    if (!piece) co_return piece.error();
    Reader from(*piece);
    while (from.left() > 0 && from.ok()) entries.push_back(decode_directory_entry(from));
    if (!from.ok()) co_return Error{Code::corrupt, "the directory of the tables makes no sense"};
    directory_places_.push_back(place);
  }
  std::vector<Place> places = directory_places_;
  places.push_back(root_place);
  for (const DirectoryEntry& entry : entries) {
    directory_[{entry.table, entry.key}] = entry.place;
    places.push_back(entry.place);
  }
  u64 fill = 0;
  const u64 last_chunk = root_place.offset / chunk_size;
  for (const Place& place : places) {
    const u64 chunk = place.offset / chunk_size;
    if (chunk >= space_.chunks_made() || chunk == 0) co_return Error{Code::corrupt, "a table lies outside the pool"};
    space_.mark_used(chunk, ChunkUse::tables);
    space_.table_written(place);
    if (chunk == last_chunk) fill = std::max(fill, place.offset + place.length - chunk * chunk_size);
  }
  // What lies behind belongs to a checkpoint that was never finished.
  table_writer_->resume(last_chunk, fill);

  // Buckets written together lie together: read them by address, many at a time, in any order.
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.place.offset < b.place.offset; });
  // A small pool's tables are a few hundred bytes: mapping two megabytes for them took longer than all the rest of loading.
  const u64 spread = entries.empty() ? 0 : entries.back().place.offset + entries.back().place.length - entries.front().place.offset;
  SegmentTable segments(chunk_size);
  std::map<u64, std::pair<Place, std::vector<std::byte>>> changes;  // by the superblock's generation
  const auto longest = std::max_element(entries.begin(), entries.end(),
                                        [](const auto& a, const auto& b) { return a.place.length < b.place.length; });
  const u64 longest_bytes = entries.empty() ? 0 : longest->place.length;
  if (longest_bytes > chunk_size) co_return Error{Code::corrupt, "a table of the checkpoint is too long"};
  const u64 usual_bytes = std::min(2 * table_read_max, round_up(spread, block_size) + 2 * block_size);
  AlignedBuffer buffer(std::max(usual_bytes, round_up(longest_bytes, block_size) + 2 * block_size));
  for (size_t at = 0; at < entries.size();) {
    const u64 from = round_down(entries[at].place.offset, block_size);
    size_t end = at;
    u64 to = from;
    while (end < entries.size() && entries[end].place.offset + entries[end].place.length - from <= buffer.size() - block_size &&
           entries[end].place.offset <= to + 64 * KiB) {
      to = std::max(to, round_up(entries[end].place.offset + entries[end].place.length, block_size));
      ++end;
    }
    CHECK(end > at);
    const MutBytes into = buffer.span().first(to - from);
    if (auto status = co_await device_.read(from, into); !status) co_return status;
    for (; at < end; ++at) {
      const Place& place = entries[at].place;
      const Bytes bucket = into.subspan(place.offset - from, place.length);
      if (crc32c(bucket) != place.crc && !planted(Plant::table_unchecked)) {
        co_return Error{Code::corrupt, fmt::format("a table of the checkpoint is damaged, at byte {}", place.offset)};
      }
      const u64 key = entries[at].key;
      Status status;
      switch (entries[at].table) {
        case TableId::segments: status = segments.load(key, place, bucket); break;
        case TableId::changes: changes[key] = {place, {bucket.begin(), bucket.end()}}; break;
        default: status = client_.load_bucket(entries[at].table, key, bucket);
      }
      if (!status) co_return status;
    }
  }
  for (const auto& [generation, told] : changes) {
    const auto stale = segments.apply(told.first, told.second);
    if (!stale) co_return stale.error();
    for (u64 key : *stale) stale_buckets_.add(key, generation);
    changes_bytes_ += told.first.length;
  }
  if (auto status = segments.complete(); !status) co_return status;
  co_return space_.load(segments);
}

/// Everything from here on is written by this opening: the cut of the log becomes durable before the first write.
Task<Status> Pool::begin_epoch(ReplayEnd end) {
  const u64 chunk_size = superblock_.chunk_size;
  sink_ = std::make_unique<Sink>(*this);
  const bool changed = end.next_number != superblock_.checkpoint_number;
  ++superblock_.epoch;
  const Log::Options options{.pool = superblock_.uuid,
                             .epoch = superblock_.epoch,
                             .next_number = end.next_number,
                             .checkpoint_number = superblock_.checkpoint_number};
  log_ = std::make_unique<Log>(
      runtime_, device_, flusher_, space_, *sink_, [this](bool urgent) { return chunk_for_log(urgent); }, options);
  if (latched_) {
    log_->latch(*latched_);
    co_return Status{};
  }
  if (changed && space_.written_free() < kept_from_writes && !co_await fill_one()) co_await fill_what_the_host_has_given();
  // The log goes on in the rest of its last chunk where that is worth it, and with a name of its own in any case.
  const u64 used = end.end % chunk_size;
  u64 chunk = end.end / chunk_size;
  u64 base = end.end;
  if (end.end == 0 || used == 0 || used > chunk_size / 2) {
    while (space_.written_free() < 2) {
      if (auto status = co_await fill_one(); !status) {
        if (space_.written_free() > 0) break;
        co_return status;
      }
    }
    const auto taken = space_.take_chunk(SpaceLevel::checkpoint, ChunkUse::segments);
    if (!taken) co_return Error{Code::no_space, "the pool has no empty chunk left to open its log in"};
    chunk = *taken;
    base = space_.chunk_offset(chunk);
  } else {
    space_.mark_used(chunk, ChunkUse::segments);
  }
  if (auto status = co_await flusher_.flush(); !status) co_return status;
  const LogPosition from{space_.segment_numbers_given(), chunk, base, 1};
  if (changed) {
    // A log that starts wants a successor, and where chunks are short it makes room for one by a checkpoint: after this one.
    co_await checkpointing_.acquire();
    log_->start(chunk, base);
    co_await client_.before_seal();
    co_await client_.seal(end.next_number);
    space_.seal(end.next_number);
    Status status = co_await write_checkpoint(end.next_number, from);
    checkpointing_.release();
    if (!status) co_return status;
  } else {
    superblock_.log_segment = from.segment;
    superblock_.log_base = from.base;
    superblock_.log_slot = from.slot;
    superblock_.clean = 0;
    if (auto status = co_await write_superblock(); !status) co_return status;
    log_->start(chunk, base);
  }
  gate_.spawn(run_upkeep());
  gate_.spawn(run_filler());
  gate_.spawn(run_room_maker());
  gate_.spawn(run_checkpointer());
  co_return Status{};
}

Task<Status> Pool::close() {
  if (stopping_) co_return Status{};
  Status status;
  if (!latched_ && log_) status = co_await checkpoint();
  stopping_ = true;
  upkeep_.notify_all();
  filler_.notify_all();
  room_maker_.notify_all();
  checkpointer_.notify_all();
  if (log_) co_await log_->close();
  co_await gate_.close();
  if (!latched_ && status && log_->replay_bytes() == 0) {
    superblock_.clean = 1;
    status = co_await write_superblock();
  }
  co_return status;
}

}  // namespace brindle
