// compact.cc: brings what lives in several mostly dead chunks together in few, so that whole chunks become empty.
//
// Holds:  1. Names stay: only the segment table changes. No map, snapshot or clone is touched.
//         2. The old places are given again only after the checkpoint that makes the new ones durable.
//         3. What replay would read is left alone.
//         4. Who began to look before the last seal finds all that lived then: while there is such a one nothing moves, since what is
//            dead to the table is not copied. Nothing would be won by it either: the old places stay his until he ends.
//
// A victim is read as it lies, with the gaps that are cheaper to read than to leave out, and the next one is read while it is
// copied. The chunk that is copied into stays open from one round to the next, so that none is left half empty: in a pool that
// is nearly full a round wins little more than that.
#include <algorithm>
#include <array>
#include <bit>

#include "base/planted.h"
#include "pool/pool.h"

namespace brindle {

namespace {

constexpr size_t victims_max = 48;
constexpr u64 room_step_min = 4;   // chunks
constexpr u64 room_step_max = 32;  // chunks
constexpr u64 room_step_part = 16;
constexpr u64 copy_max = 256 * KiB;  // as much as a writer stages
// A request costs the device as much as some more blocks in one: gaps up to this are read as well.
constexpr u64 gap_max = 4;    // blocks
constexpr u64 read_max = 64;  // blocks in one request
// What lives in a mostly dead chunk lies in single blocks. Read one after the other they would take longer than the log takes to
// fill what they make room for; and too many at once would keep everybody else from the device.
constexpr u64 blocks_at_once = 512;
constexpr u64 blocks_a_read_min = 8;  // that even a single block is counted as: 64 requests at once at most
// A read that began before the last seal is waited for, so long at first and then twice as long each time; a walk may take minutes, and
// whoever needs the room asks again.
constexpr u64 reader_rest_ns = 200'000;
constexpr u64 reader_rest_max_ns = 500 * millisecond_ns;

void set(std::vector<u64>& bitmap, u64 at, bool on) {
  bitmap[at / 64] = (bitmap[at / 64] & ~(u64{1} << (at % 64))) | u64{on} << (at % 64);
}

/// The first of [from, to) that is set, or is not; `to` where there is none.
u64 next(const std::vector<u64>& bitmap, bool on, u64 from, u64 to) {
  while (from < to) {
    const u64 word = (on ? bitmap[from / 64] : ~bitmap[from / 64]) >> (from % 64);
    if (word != 0) return std::min(to, from + static_cast<u64>(std::countr_zero(word)));
    from = round_down(from, 64) + 64;
  }
  return to;
}

}  // namespace

/// A victim that wins less than this is not worth its copy. It covers what is wasted at the ends of targets.
u64 Pool::gain_min() const { return space_.chunk_size() / 64 + block_size; }

/// How many chunks are won at a time: a part of those that nothing lives in, taken together. Each time costs two checkpoints, and the
/// more is dead the less is copied for it; where little is dead it had better become more before it is copied around.
u64 Pool::room_step() const {
  const u64 taken = used();
  const u64 dead = size() > taken ? (size() - taken) / space_.chunk_size() : 0;
  return std::clamp(dead / room_step_part, room_step_min, room_step_max);
}

/// The chunks with the least that lives: as many as win `room_step`, or as fill the empty chunks that may be copied into;
/// none where nothing can be won.
std::vector<u64> Pool::victims() const {
  const u64 chunk_size = space_.chunk_size();
  std::vector<std::pair<u64, u64>> candidates;  // live bytes, chunk
  for (u64 chunk = 1; chunk < space_.chunks_made(); ++chunk) {
    if (space_.use(chunk) != ChunkUse::segments || unreadable_.contains(chunk)) continue;
    const u64 live = space_.live_bytes(chunk);
    if (live + gain_min() > chunk_size) continue;
    const auto& residents = space_.residents(chunk);
    const bool quiet = std::all_of(residents.begin(), residents.end(), [&](const Segment* segment) {
      const bool known = segment->last_batch < durable_number_ || planted(Plant::compact_young);
      return !segment->open && !segment->retired && known;
    });
    if (!residents.empty() && quiet) candidates.emplace_back(live, chunk);
  }
  const size_t most = std::min(victims_max, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(most), candidates.end());
  // One chunk to copy into is always to be had.
  const u64 empty = std::max<u64>(space_.written_free(), kept_from_compaction + 1) - kept_from_compaction;
  const u64 room = empty * chunk_size + (target_ ? target_->room() : 0);
  std::vector<u64> chosen;
  u64 copied = 0;
  u64 won = 0;
  const u64 wanted = room_step() * chunk_size;
  for (size_t i = 0; i < most && won < wanted; ++i) {
    const auto [live, chunk] = candidates[i];
    if (live > chunk_size / 2 && won >= room_step_min * chunk_size) break;  // it had better die some more
    copied += live + gain_min();
    if (copied > room) break;
    won += chunk_size - live;
    chosen.push_back(chunk);
  }
  return chosen;
}

/// A victim in memory.
struct Pool::Source {
  u64 chunk = 0;
  MutBytes bytes;  // as long as a chunk; what lives has its place in it, the rest is anything
  Status status;
};

Task<Pool::Compaction> Pool::compact() {
  co_await compacting_.acquire();
  for (u64 rest_ns = reader_rest_ns; space_.read_from_before_seal() && rest_ns < reader_rest_max_ns && !stopping_; rest_ns *= 2) {
    co_await runtime_.sleep(rest_ns);
  }
  const u64 began_ns = runtime_.now_ns();
  // What is chosen now stays: a segment that dies meanwhile is not forgotten, and a chunk that becomes empty is not given to the
  // log, which would then be copied from under its writer.
  const ReadGuard guard(space_);
  compaction_reads_ = guard.generation();
  bool held_up = space_.read_from_before_seal(compaction_reads_);
  const std::vector<u64> chosen = held_up ? std::vector<u64>() : victims();
  bool moved = false;
  if (!chosen.empty()) {
    if (!target_) {
      target_ = std::make_unique<ChunkWriter>(
          device_, space_, SpaceLevel::compaction, ChunkUse::target,
          [this](u64 chunk) { targets_left_.push_back(chunk); }, [this] { return fill_one(); });
    }
    const u64 written = target_->bytes_written();
    std::array<Source, 2> sources;
    for (size_t i = 0; i < std::min(chosen.size(), sources.size()); ++i) {
      if (victim_bytes_[i].size() == 0) victim_bytes_[i] = AlignedBuffer(space_.chunk_size());
      sources[i].bytes = victim_bytes_[i].span();
    }
    sources[0].chunk = chosen[0];
    co_await read_source(sources[0]);
    Status status;
    for (size_t i = 0; i < chosen.size() && status && !stopping_ && !latched_; ++i) {
      held_up = space_.read_from_before_seal(compaction_reads_);
      if (held_up) break;
      Source& source = sources[i % 2];
      Gate ahead(runtime_);
      if (i + 1 < chosen.size()) {
        sources[(i + 1) % 2].chunk = chosen[i + 1];
        ahead.spawn(read_source(sources[(i + 1) % 2]));
      }
      if (source.status) {
        status = co_await evacuate(source);
        if (status) {
          moved = true;
          ++counters_.compacted_chunks;
        }
      } else {
        unreadable_.insert(source.chunk);  // it stays where it is, and others are tried
      }
      co_await ahead.close();
      co_await runtime_.yield();  // requests go first
    }
    counters_.compacted_bytes += target_->bytes_written() - written;
    // After a failure what is staged is dropped, and with it the rest of its chunk.
    if (!status) target_->leave();
    settle_targets();
    counters_.compaction_ns += runtime_.now_ns() - began_ns;
  }
  compacting_.release();
  co_return moved ? Compaction::moved : held_up ? Compaction::held_up : Compaction::nothing;
}

/// What was copied first may die while the rest is still on its way, and copies count only once the segment table points at them.
/// So the targets are held until all is copied: an empty one would be given to somebody else.
void Pool::settle_targets() {
  for (u64 chunk : std::exchange(targets_left_, {})) {
    space_.mark_used(chunk, ChunkUse::segments);
    space_.close_chunk(chunk);
  }
}

/// One round for quiet times: chunks that are more dead than alive come together, so that the host gets space back.
Task<bool> Pool::compact_idle() {
  u64 dead = 0;
  u64 chunks = 0;
  for (u64 chunk : victims()) {
    dead += space_.chunk_size() - space_.live_bytes(chunk);
    ++chunks;
  }
  bool moved = false;
  // Less would only be carried from one chunk to the other.
  if (dead >= 2 * space_.chunk_size() && dead * 2 >= chunks * space_.chunk_size()) {
    const Compaction done = co_await compact();
    moved = done == Compaction::moved;
  }
  if (!moved) {
    co_await compacting_.acquire();
    if (target_) target_->leave();
    settle_targets();
    victim_bytes_ = {};
    compacting_.release();
    co_return false;
  }
  const Status status = co_await checkpoint();
  co_return status.ok();
}

Task<void> Pool::read_range(Source& source, const std::vector<u64>& wanted, u64 from, u64 to, Semaphore& under_way,
                            u64 permits) {
  const u64 chunk_offset = space_.chunk_offset(source.chunk);
  MutBytes into = source.bytes.subspan(from * block_size, (to - from) * block_size);
  counters_.compaction_read_bytes += into.size();
  const Status status = co_await device_.read(chunk_offset + from * block_size, into);
  if (!status) {
    // A gap that cannot be read is no harm.
    for (u64 at = from; (at = next(wanted, true, at, to)) < to;) {
      const u64 end = next(wanted, false, at, to);
      into = source.bytes.subspan(at * block_size, (end - at) * block_size);
      const Status alone = co_await device_.read(chunk_offset + at * block_size, into);
      if (!alone) source.status = alone;
      at = end;
    }
  }
  under_way.release(permits);
}

/// Reads what lives in the chunk. Until it is copied some of that may die; nothing else comes to life in a victim.
Task<void> Pool::read_source(Source& source) {
  source.status = {};
  const u64 chunk_size = space_.chunk_size();
  const u64 blocks = chunk_size / block_size;
  const u64 chunk_offset = space_.chunk_offset(source.chunk);
  std::vector<u64> wanted(div_up(blocks, 64));
  for (const Segment* segment : space_.residents(source.chunk)) {
    const SegmentRecord& record = segment->record;
    const u64 slot_bytes = slot_size(record.kind);
    const u64 slots = segment_slots(record.kind, chunk_size);
    if (record.live.empty()) continue;
    for (size_t i = 0; i < record.pieces.size(); ++i) {
      if (record.pieces[i].offset / chunk_size != source.chunk) continue;
      const u64 end = i + 1 < record.pieces.size() ? record.pieces[i + 1].first_slot : slots;
      for (u64 slot = record.pieces[i].first_slot; (slot = next(record.live, true, slot, end)) < end;) {
        u64 run = 0;
        const auto at = space_.locate(SlotName::of(record.number, slot), &run);
        if (!at) {
          source.status = Error{Code::corrupt, "a live slot has no place"};
          co_return;
        }
        run = std::min(run, next(record.live, false, slot, end) - slot);
        const u64 last = (*at + run * slot_bytes - 1 - chunk_offset) / block_size;
        for (u64 block = (*at - chunk_offset) / block_size; block <= last; ++block) set(wanted, block, true);
        slot += run;
      }
    }
  }
  Semaphore under_way(runtime_, blocks_at_once);
  Gate reads(runtime_);
  for (u64 from = 0; (from = next(wanted, true, from, blocks)) < blocks;) {
    u64 to = next(wanted, false, from, blocks);
    for (u64 more = to; to < blocks && to - from < read_max;) {
      more = next(wanted, true, to, blocks);
      if (more == blocks || more - to > gap_max) break;
      to = next(wanted, false, more, blocks);
    }
    to = std::min(to, from + read_max);
    const u64 permits = std::max(to - from, blocks_a_read_min);
    co_await under_way.acquire(permits);
    reads.spawn(read_range(source, wanted, from, to, under_way, permits));
    from = to;
  }
  co_await reads.close();
}

/// Where a segment went.
struct Pool::Move {
  Segment* segment;
  std::vector<SegmentPiece> pieces;
  std::vector<u64> present;
};

/// Copies what lives in the victim, and points the segment table at the copies.
Task<Status> Pool::evacuate(Source& source) {
  const std::vector<Segment*> residents = space_.residents(source.chunk);  // a copy: the list may change
  std::vector<Move> moves;
  Status status;
  for (Segment* segment : residents) {
    status = co_await copy_segment(*segment, source, moves);
    if (!status) break;
  }
  if (!planted(Plant::copies_staged)) {
    if (auto flushed = co_await target_->flush(); !flushed) co_return flushed;
  }
  for (Move& move : moves) {
    if (!move.segment->retired) space_.moved(*move.segment, std::move(move.pieces), std::move(move.present));
  }
  co_return status;
}

/// Copies the live slots of those pieces of the segment that lie in the victim.
Task<Status> Pool::copy_segment(Segment& segment, Source& source, std::vector<Move>& moves) {
  const SegmentRecord& record = segment.record;
  const u64 chunk_size = space_.chunk_size();
  const u64 chunk_offset = space_.chunk_offset(source.chunk);
  const u64 slot_bytes = slot_size(record.kind);
  const u64 slots = segment_slots(record.kind, chunk_size);
  if (record.kind == SegmentKind::pages) {
    // A page stays in one piece, so all of them go to one chunk; a segment nearly full of live pages stays as it is.
    const u64 bytes = u64{segment.live_count} * slot_bytes;
    if (bytes + 4 * block_size > chunk_size) co_return Status{};
    if (auto chosen = co_await target_->reserve(bytes); !chosen) co_return chosen.error();
  }
  if (space_.read_from_before_seal(compaction_reads_)) co_return Status{};
  // What dies from here on is copied as well: it is there, and nobody points at it.
  std::vector<u64> live = record.live;
  live.resize(div_up(slots, 64));
  const std::vector<SegmentPiece> before = record.pieces;
  Move move{&segment, {}, record.present};
  if (move.present.empty()) move.present.assign(div_up(slots, 64), ~u64{0});
  bool begun = false;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].offset / chunk_size != source.chunk) {
      move.pieces.push_back(before[i]);
      continue;
    }
    const u64 end = i + 1 < before.size() ? before[i + 1].first_slot : slots;
    bool in_piece = false;
    for (u64 slot = before[i].first_slot; slot < end;) {
      const u64 first = next(live, true, slot, end);
      for (; slot < first; ++slot) set(move.present, slot, false);
      if (slot == end) break;
      u64 run = 0;
      const auto from = space_.locate(SlotName::of(record.number, slot), &run);
      if (!from) co_return Error{Code::corrupt, "a live slot has no place"};
      run = std::min({run, next(live, false, slot, end) - slot, copy_max / slot_bytes});
      bool other_chunk = false;
      if (record.kind == SegmentKind::data) {
        // What is left of the target is filled up; data may go on in the next one at any slot.
        if (target_->room() >= 2 * block_size) run = std::min(run, target_->room() / block_size - 1);
        auto left = co_await target_->reserve(run * slot_bytes);
        if (!left) co_return left.error();
        other_chunk = *left;
      }
      // Two segments never share a block.
      const u64 align = std::exchange(begun, true) ? slot_bytes : block_size;
      const u64 at = target_->append(source.bytes.subspan(*from - chunk_offset, run * slot_bytes), align);
      if (!in_piece || other_chunk) move.pieces.push_back({static_cast<u32>(slot), at});
      in_piece = true;
      slot += run;
    }
  }
  // Where nothing lives any more the next seal retires the segment.
  if (!move.pieces.empty()) moves.push_back(std::move(move));
  co_return Status{};
}

}  // namespace brindle
