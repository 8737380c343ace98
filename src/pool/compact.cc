// compact.cc: brings what lives in several mostly dead chunks together in few, so that whole chunks become empty.
//
// Holds:  1. Names stay: only the segment table changes. No map, snapshot or clone is touched.
//         2. The old places are given again only after the checkpoint that makes the new ones durable.
//         3. Who began to look before the last seal finds all that lived then: while there is such a one nothing moves, since what is
//            dead to the table is not copied. Nothing would be won by it either: the old places stay his until he ends.
//         4. A block is written over only where it was dead while the table was settled (Space::settled): nobody knows what was there.
//
// What lives in a victim is put into the dead blocks of other chunks, the fullest first: so nothing of those is copied, and a chunk is won
// for what lives in one. (Copied into empty chunks, at a share `e` that lives, 1 / (1 - e) would have to be read and e / (1 - e)
// written for each.) Where many blocks live side by side they go to an empty chunk, or a hole that takes them together.
//
// A victim is read as it lies, with the gaps that are cheaper to read than to leave out, and the next one is read while it is
// copied. The chunk that is copied into stays open from one round to the next, so that none is left half empty: in a pool that
// is nearly full a round wins little more than that.
#include <algorithm>
#include <array>

#include "base/bitmap.h"
#include "base/planted.h"
#include "device/vectors.h"
#include "pool/pool.h"

namespace brindle {

namespace {

constexpr u64 copy_max = 256 * KiB;  // as much as a writer stages
// A request costs the device as much as some more blocks in one: gaps up to this are read as well.
constexpr u64 gap_max = 4;    // blocks
constexpr u64 read_max = 64;  // blocks in one request
// What lives in a mostly dead chunk lies in single blocks. Read one after the other they would take longer than the log takes to
// fill what they make room for; and too many at once would keep everybody else from the device.
constexpr u64 blocks_at_once = 512;
constexpr u64 holes_at_once = 64;
constexpr u64 blocks_a_read_min = 8;  // that even a single block is counted as: 64 requests at once at most
// A read that began before the last seal is waited for, so long at first and then twice as long each time; a walk may take minutes, and
// whoever needs the room asks again.
constexpr u64 reader_rest_ns = 200'000;
constexpr u64 reader_rest_max_ns = 500 * millisecond_ns;
constexpr u64 settle_rest_max_ns = 10 * millisecond_ns;  // without holes it goes on at once, only dearer

}  // namespace

/// A victim in memory.
struct Pool::Source {
  Victim victim{};
  MutBytes bytes;  // as long as a chunk; what lives has its place in it, the rest is anything
  Status status;
};

Task<Pool::Compaction> Pool::compact() {
  co_await compacting_.acquire();
  for (u64 rest_ns = reader_rest_ns; rest_ns < reader_rest_max_ns && !stopping_ && !latched_; rest_ns *= 2) {
    const bool settling = space_.settling() && rest_ns < settle_rest_max_ns;
    if (!space_.read_from_before_seal() && !settling) break;
    co_await runtime_.sleep(rest_ns);
  }
  const u64 began_ns = runtime_.now_ns();
  // What is chosen now stays: a segment that dies meanwhile is not forgotten, and a chunk that becomes empty is not given to the
  // log, which would then be copied from under its writer.
  const ReadGuard guard(space_);
  compaction_reads_ = guard.generation();
  bool held_up = space_.read_from_before_seal(compaction_reads_);
  const std::vector<Victim> chosen = held_up ? std::vector<Victim>() : victims();
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
    u64 live = 0;
    for (const Victim& victim : chosen) live += space_.live_bytes(victim.chunk);
    forecast_.copying(began_ns, live);
    pace_writes(chosen);
    find_holes(chosen);
    sources[0].victim = chosen[0];
    co_await read_source(sources[0]);
    Status status;
    for (size_t i = 0; i < chosen.size() && status && !stopping_ && !latched_; ++i) {
      held_up = space_.read_from_before_seal(compaction_reads_);
      if (held_up) break;
      Source& source = sources[i % 2];
      Gate ahead(runtime_);
      if (i + 1 < chosen.size()) {
        sources[(i + 1) % 2].victim = chosen[i + 1];
        ahead.spawn(read_source(sources[(i + 1) % 2]));
      }
      if (source.status) {
        status = co_await evacuate(source);
        if (status) {
          moved = true;
          ++counters_.compacted_chunks;
        }
      } else {
        failing_.insert(source.victim.chunk);  // it stays where it is, and others are tried
      }
      co_await ahead.close();
      co_await runtime_.yield();  // requests go first
    }
    counters_.compacted_bytes += target_->bytes_written() - written;
    // After a failure what is staged is dropped, and with it the rest of its chunk.
    if (!status) target_->leave();
    settle_targets();
    holes_.leave();
    counters_.compaction_ns += runtime_.now_ns() - began_ns;
    forecast_.copied(runtime_.now_ns());
  }
  compacting_.release();
  co_return moved ? Compaction::moved : held_up ? Compaction::held_up : Compaction::nothing;
}

/// What was copied first may die while the rest is still on its way, and copies count only once the segment table points at them.
/// So the targets are held until all is copied: an empty one would be given to somebody else.
void Pool::settle_targets() {
  for (u64 chunk : std::exchange(targets_left_, {})) space_.leave_target(chunk);
}

/// One round for quiet times: chunks that are more dead than alive come together, so that the host gets space back.
Task<bool> Pool::compact_idle() {
  u64 dead = 0;
  u64 chunks = 0;
  for (const Victim& victim : victims()) {
    dead += space_.chunk_size() - space_.live_bytes(victim.chunk);
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
  const u64 chunk_offset = space_.chunk_offset(source.victim.chunk);
  MutBytes into = source.bytes.subspan(from * block_size, (to - from) * block_size);
  counters_.compaction_read_bytes += into.size();
  const Status status = co_await device_.read(chunk_offset + from * block_size, into);
  if (!status) {
    // A gap that cannot be read is no harm.
    for (u64 at = from; (at = next_bit(wanted, true, at, to)) < to;) {
      const u64 end = next_bit(wanted, false, at, to);
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
  const auto lived_in = space_.blocks_lived_in(source.victim.chunk);
  if (!lived_in) {
    source.status = Error{Code::corrupt, "a live slot has no place"};
    co_return;
  }
  const std::vector<u64>& wanted = *lived_in;
  Semaphore under_way(runtime_, blocks_at_once);
  Gate reads(runtime_);
  for (u64 from = 0; (from = next_bit(wanted, true, from, blocks)) < blocks;) {
    u64 to = next_bit(wanted, false, from, blocks);
    for (u64 more = to; to < blocks && to - from < read_max;) {
      more = next_bit(wanted, true, to, blocks);
      if (more == blocks || more - to > gap_max) break;
      to = next_bit(wanted, false, more, blocks);
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

/// What goes into a hole, or into several side by side.
struct Pool::HoleWrite {
  u64 offset;  // byte address
  u64 length;  // bytes
  std::vector<iovec> from;
};

Task<void> Pool::write_hole(const HoleWrite& hole, Status& status, Semaphore& under_way) {
  const Status written = co_await device_.write(hole.offset, hole.from);
  if (!written) {
    status = written;
    failing_.insert(space_.chunk_of(hole.offset));  // the next round takes others
  }
  counters_.compacted_bytes += hole.length;
  under_way.release();
}

Task<Status> Pool::write_holes(const std::vector<HoleWrite>& holes) {
  Status status;
  Semaphore under_way(runtime_, holes_at_once);
  Gate writes(runtime_);
  for (const HoleWrite& hole : holes) {
    co_await under_way.acquire();
    writes.spawn(write_hole(hole, status, under_way));
  }
  co_await writes.close();
  co_return status;
}

/// Copies what lives in the victim, and points the segment table at the copies.
Task<Status> Pool::evacuate(Source& source) {
  const std::vector<Segment*> residents = space_.residents(source.victim.chunk);  // a copy: the list may change
  std::vector<Move> moves;
  std::vector<HoleWrite> holes;
  Status status;
  for (Segment* segment : residents) {
    status = co_await copy_segment(*segment, source, moves, holes);
    if (!status) break;
  }
  if (auto written = co_await write_holes(holes); !written) co_return written;
  if (!planted(Plant::copies_staged)) {
    if (auto flushed = co_await target_->flush(); !flushed) co_return flushed;
  }
  for (Move& move : moves) {
    if (!move.segment->retired) space_.moved(*move.segment, std::move(move.pieces), SlotSet::of(move.present));
  }
  co_return status;
}

/// Copies the live slots of those pieces of the segment that lie in the victim.
Task<Status> Pool::copy_segment(Segment& segment, Source& source, std::vector<Move>& moves,
                                std::vector<HoleWrite>& holes) {
  const SegmentRecord& record = segment.record;
  const u64 chunk_size = space_.chunk_size();
  const u64 chunk_offset = space_.chunk_offset(source.victim.chunk);
  const u64 slot_bytes = slot_size(record.kind);
  const u64 slots = segment_slots(record.kind, chunk_size);
  if (record.kind == SegmentKind::pages) {
    // A page stays in one piece, so all of them go to one chunk; a segment nearly full of live pages stays as it is.
    const u64 bytes = record.live.count() * slot_bytes;
    if (bytes + 4 * block_size > chunk_size) co_return Status{};
    if (auto chosen = co_await target_->reserve(bytes); !chosen) co_return chosen.error();
  }
  if (space_.read_from_before_seal(compaction_reads_)) co_return Status{};
  // What dies from here on is copied as well: it is there, and nobody points at it.
  const std::vector<u64> live = record.live.bitmap();
  const std::vector<SegmentPiece> before = record.pieces;
  Move move{&segment, {}, record.packed ? record.present.bitmap() : std::vector<u64>(div_up(slots, 64), ~u64{0})};
  bool begun = false;
  for (size_t i = 0; i < before.size(); ++i) {
    const u64 end = piece_end(before, i, slots);
    if (space_.chunk_of(before[i].offset) != source.victim.chunk) {
      // A piece elsewhere in which nothing lives any more goes as well.
      if (next_bit(live, true, before[i].first_slot, end) < end) {
        move.pieces.push_back(before[i]);
      } else {
        clear_bits(move.present, before[i].first_slot, end);
      }
      continue;
    }
    bool in_piece = false;
    u64 follows = 0;  // where the piece would go on
    PieceWalk walk(segment, i, slots);
    for (u64 slot = before[i].first_slot; slot < end;) {
      const u64 first = next_bit(live, true, slot, end);
      clear_bits(move.present, slot, first);
      slot = first;
      if (slot == end) break;
      const auto from = walk.at(slot);
      if (!from) co_return Error{Code::corrupt, "a live slot has no place"};
      u64 run = std::min({from->slots, next_bit(live, false, slot, end) - slot, copy_max / slot_bytes});
      std::byte* const bytes = source.bytes.data() + (from->offset - chunk_offset);
      u64 at = 0;
      Holes::Run hole;
      if (source.victim.into_holes && record.kind == SegmentKind::data) hole = holes_.take(run, run < long_run ? 1 : long_run);
      if (hole.blocks > 0) {
        run = hole.blocks;
        at = hole.offset;
        const bool goes_on = !holes.empty() && holes.back().offset + holes.back().length == at && at % chunk_size != 0 &&
                             holes.back().length < copy_max;
        if (!goes_on) holes.push_back({at, 0, {}});
        holes.back().length += run * block_size;
        append_joined(holes.back().from, bytes, run * block_size);
      } else {
        if (record.kind == SegmentKind::data) {
          // What is left of the target is filled up; data may go on in the next one at any slot.
          if (target_->room() >= 2 * block_size) run = std::min(run, target_->room() / block_size - 1);
          if (auto left = co_await target_->reserve(run * slot_bytes); !left) co_return left.error();
        }
        // Two segments never share a block.
        const u64 align = std::exchange(begun, true) ? slot_bytes : block_size;
        at = target_->append({bytes, run * slot_bytes}, align);
      }
      // A piece never goes on in another chunk, even if that is the next one.
      if (!in_piece || at != follows || at % chunk_size == 0) move.pieces.push_back({static_cast<u32>(slot), at});
      follows = at + run * slot_bytes;
      in_piece = true;
      slot += run;
    }
  }
  // Where nothing lives any more the next seal retires the segment.
  if (!move.pieces.empty()) moves.push_back(std::move(move));
  co_return Status{};
}

}  // namespace brindle
