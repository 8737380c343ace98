// checkpoint.cc: the maps made durable.
//
//   seal (at a batch number N) ─► pages ─► tables ─► directory ─► root ─► flush ─► superblock A, flush, B, flush
//
// Only then may what was freed below N be given again. Whatever is applied while this runs belongs to the next one.
#include <algorithm>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/planted.h"
#include "pool/pages.h"
#include "pool/pool.h"

namespace brindle {

namespace {

constexpr size_t directory_piece_size = 32 * KiB;
// The changes of so many checkpoints at most are kept: each is an entry of the directory, and is read at the start.
constexpr u64 changes_kept_max = 64;
constexpr u64 changes_bytes_max = MiB;  // of one
// What is told of segments, and put into tables, before requests go on: some 100 us each. A segment takes as long as so many names.
constexpr u64 names_a_segment = 16;
constexpr u64 table_bytes_a_turn = 128 * KiB;

}  // namespace

Task<Status> Pool::checkpoint() {
  if (options_.read_only || latched_) co_return Error{Code::read_only, "the pool is read-only"};
  co_await checkpointing_.acquire();
  pace_.begun(client_.work());
  forecast_.begun(runtime_.now_ns(), client_.work());
  co_await client_.before_seal();
  auto number = co_await log_->seal();
  Status status;
  if (number) {
    pace_.sealed(client_.work());
    forecast_.sealed(runtime_.now_ns(), client_.work());
    status = co_await write_checkpoint(*number, log_->sealed_at());
  } else {
    status = number.error();
  }
  pace_.ended();
  forecast_.ended(runtime_.now_ns());
  checkpointing_.release();
  memory_.notify_all();
  filler_.notify_all();
  room_maker_.notify_all();  // there may be something to be won now
  co_return status;
}

Task<Status> Pool::write_checkpoint(u64 number, LogPosition log_from) {
  while (space_.apply_sealed(options_.names_at_once) && !planted(Plant::sealed_partly)) {
    co_await runtime_.yield();  // requests go first
  }
  if (planted(Plant::holes_unsettled)) co_await compact();
  Pages pages(*this);
  Status status = co_await client_.write_pages(pages);
  pace_.written();
  forecast_.written(runtime_.now_ns());
  memory_.notify_all();
  if (status) status = co_await write_tables(number);
  if (status && !planted(Plant::checkpoint_first)) status = co_await flusher_.flush();
  if (status) {
    superblock_.checkpoint_number = number;
    superblock_.log_segment = log_from.segment;
    superblock_.log_base = log_from.base;
    superblock_.log_slot = log_from.slot;
    superblock_.flushed_number = number;
    superblock_.clean = 0;
    status = co_await write_superblock();
  }
  if (!status) {
    // Sealed pages have no place now, and the next checkpoint would miss them: the pool stays as the last one left it.
    latch({Code::io, fmt::format("a checkpoint failed: {}", status.error().message)});
    client_.checkpoint_done(false);
    co_return status;
  }
  durable_number_ = number;
  if (log_) log_->checkpoint_durable(number);
  space_.durable();
  client_.checkpoint_done(true);
  ++counters_.checkpoints;
  co_return Status{};
}

Task<Result<Place>> Pool::put_table(Bytes bytes) {
  auto moved = co_await table_writer_->reserve(bytes.size());
  if (!moved) co_return moved.error();
  const Place place{table_writer_->append(bytes, 8), static_cast<u32>(bytes.size()), crc32c(bytes)};
  space_.table_written(place);
  co_return place;
}

void Pool::drop_table(const Place& place) {
  space_.table_dropped(place);
  const u64 chunk = space_.chunk_of(place.offset);
  if (table_writer_->chunk() != chunk) space_.close_chunk(chunk);
}

Task<Status> Pool::write_tables(u64 number) {
  if (auto status = co_await clean_table_chunks(); !status) co_return status;
  std::vector<Bucket> buckets = client_.sealed_buckets();
  co_await add_segments(buckets);
  u64 put_bytes = 0;
  for (const Bucket& bucket : buckets) {
    const auto key = std::pair(bucket.table, bucket.key);
    if (const auto old = directory_.find(key); old != directory_.end()) {
      drop_table(old->second);
      directory_.erase(old);
    }
    if (bucket.bytes.empty()) continue;
    auto place = co_await put_table(bucket.bytes);
    if (!place) co_return place.error();
    directory_[key] = *place;
    put_bytes += place->length;
    if (put_bytes >= table_bytes_a_turn) {
      put_bytes = 0;
      co_await runtime_.yield();
    }
    if (bucket.table == TableId::changes) changes_bytes_ += place->length;
  }

  CheckpointRoot root;
  root.number = number;
  root.pool = superblock_.uuid;
  client_.counters(root.next_root, root.next_entry);
  root.chunks_written = space_.chunks_made();
  root.punched = space_.punched_bitmap();
  for (const Place& place : std::exchange(directory_places_, {})) drop_table(place);
  Writer piece;
  for (auto at = directory_.begin(); at != directory_.end();) {
    encode_directory_entry(piece, {at->first.first, at->first.second, at->second});
    if (++at != directory_.end() && piece.size() < directory_piece_size) continue;
    const std::vector<std::byte> bytes = piece.take();
    piece = Writer();
    auto place = co_await put_table(bytes);
    if (!place) co_return place.error();
    root.directory.push_back(*place);
  }
  directory_places_ = root.directory;
  const std::vector<std::byte> bytes = encode_checkpoint_root(root);
  auto place = co_await put_table(bytes);
  if (!place) co_return place.error();
  if (root_place_) drop_table(*root_place_);
  root_place_ = *place;
  superblock_.root_offset = place->offset;
  superblock_.root_length = place->length;
  superblock_.root_crc = place->crc;
  co_return co_await table_writer_->flush();
}

/// What changed of the segment table, and as much of it as a whole as keeps the changes few: no more bytes than the table has, and no
/// more than so many checkpoints. Where the changes are no less than the buckets that they are in, those are written instead.
Task<void> Pool::add_segments(std::vector<Bucket>& buckets) {
  // Of two checkpoints the second may have the number of the first: nothing but compaction came between.
  const u64 generation = superblock_.generation + 1;
  Space::Changes changes;
  while (space_.tell_changes(changes, div_up(options_.names_at_once, names_a_segment))) co_await runtime_.yield();
  for (u64 key : changes.buckets) stale_buckets_.add(key, generation);
  u64 table_bytes = 0;
  u64 stale_bytes = 0;
  for (auto at = directory_.begin(); at != directory_.end() && at->first.first == TableId::segments; ++at) {
    table_bytes += at->second.length;
    if (stale_buckets_.contains(at->first.second)) stale_bytes += at->second.length;
  }
  const auto told = directory_.lower_bound({TableId::changes, 0});
  // A table lies in one chunk, and what changed is one table.
  const bool all = stale_bytes <= changes.bytes.size() || changes.bytes.size() > std::min(changes_bytes_max, superblock_.chunk_size / 2);
  // What is due is forgotten when the pool is closed: often enough that it would never be done, and changes would pile up.
  bool overdue = std::distance(told, directory_.end()) >= static_cast<std::ptrdiff_t>(changes_kept_max);
  whole_due_ += std::max(changes.bytes.size(), div_up(table_bytes, changes_kept_max));
  u64 encoded_bytes = 0;
  while (!stale_buckets_.empty()) {
    const u64 key = stale_buckets_.front();
    std::vector<std::byte> bytes = space_.encode_bucket(key);
    if (!all && bytes.size() > whole_due_ && !std::exchange(overdue, false)) break;
    encoded_bytes += bytes.size();
    whole_due_ -= std::min(bytes.size(), whole_due_);
    buckets.push_back({TableId::segments, key, std::move(bytes)});
    stale_buckets_.pop_front();
    if (encoded_bytes >= table_bytes_a_turn) {
      encoded_bytes = 0;
      co_await runtime_.yield();
    }
  }
  if (stale_buckets_.empty()) whole_due_ = 0;
  const u64 since = stale_buckets_.since().value_or(generation + 1);
  if (since <= generation && changes.bytes.size() > 0) {
    buckets.push_back({TableId::changes, generation, changes.bytes.take()});
  }
  const auto needed =
      directory_.lower_bound({TableId::changes, since + (planted(Plant::changes_dropped_early) ? 1 : 0)});
  for (auto at = told; at != needed; ++at) {
    drop_table(at->second);
    changes_bytes_ -= at->second.length;
  }
  directory_.erase(told, needed);
}

/// Buckets that seldom change would keep chunks of old tables alive: the sparsest such chunk is written anew.
Task<Status> Pool::clean_table_chunks() {
  std::map<u64, u64> live;  // chunk -> bytes
  for (const auto& [key, place] : directory_) live[space_.chunk_of(place.offset)] += place.length;
  if (table_writer_->chunk()) live.erase(*table_writer_->chunk());
  if (live.size() < 2) co_return Status{};
  const auto sparsest = std::min_element(live.begin(), live.end(), [](auto& a, auto& b) { return a.second < b.second; });
  if (sparsest->second > space_.chunk_size() / 2) co_return Status{};
  for (auto& [key, place] : directory_) {
    if (space_.chunk_of(place.offset) != sparsest->first) continue;
    auto bytes = co_await read_table(place);
    if (!bytes) co_return bytes.error();
    auto copy = co_await put_table(*bytes);
    if (!copy) co_return copy.error();
    drop_table(place);
    place = *copy;
  }
  co_return Status{};
}

Task<Result<std::vector<std::byte>>> Pool::read_table(Place place) {
  const u64 from = round_down(place.offset, block_size);
  AlignedBuffer buffer(round_up(place.offset + place.length, block_size) - from);
  MutBytes into = buffer.span();
  if (auto status = co_await device_.read(from, into); !status) co_return status.error();
  const Bytes bytes = buffer.span().subspan(place.offset - from, place.length);
  if (crc32c(bytes) != place.crc && !planted(Plant::table_unchecked)) {
    co_return Error{Code::corrupt, fmt::format("a table of the checkpoint is damaged, at byte {}", place.offset)};
  }
  co_return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace brindle
