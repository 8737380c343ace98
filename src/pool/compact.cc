// compact.cc: brings what lives in several mostly dead chunks together in few, so that whole chunks become empty.
//
// Holds:  1. Names stay: only the segment table changes. No map, snapshot or clone is touched.
//         2. The old places are given again only after the checkpoint that makes the new ones durable.
//         3. What replay would read is left alone.
#include <algorithm>

#include "base/planted.h"
#include "pool/pool.h"

namespace brindle {

namespace {

constexpr size_t victims_max = 48;
constexpr u64 copy_max = 256 * KiB;
// What lives in a mostly dead chunk lies in single blocks. Read one after the other they would take longer than the log takes to
// fill what they make room for.
constexpr size_t reads_at_once = 64;
constexpr u64 read_buffer = 768 * KiB;  // below what the allocator takes from the kernel and gives back each time
constexpr u64 wanted_gain = 8;
constexpr u64 targets_max = 1;  // chunks to copy into that are always to be had

bool bit(const std::vector<u64>& bitmap, u64 at) { return (bitmap[at / 64] >> (at % 64) & 1) != 0; }
void set(std::vector<u64>& bitmap, u64 at, bool on) {
  bitmap[at / 64] = (bitmap[at / 64] & ~(u64{1} << (at % 64))) | u64{on} << (at % 64);
}

}  // namespace

/// The chunks with the least that lives: as many as bring `wanted_gain` empty chunks, or as near to it as the empty
/// chunks that the copies need first allow; none where nothing can be won. In a pool that is nearly full and evenly so, these may be
/// too few to win one: then as many as leave the last target half empty, which the next round begins with.
std::vector<u64> Pool::victims() const {
  std::vector<std::pair<u64, u64>> candidates;  // live bytes, chunk
  for (u64 chunk = 1; chunk < space_.chunks_made(); ++chunk) {
    if (space_.use(chunk) != ChunkUse::segments || unreadable_.contains(chunk)) continue;
    const auto& residents = space_.residents(chunk);
    const bool quiet = std::all_of(residents.begin(), residents.end(), [&](const Segment* segment) {
      const bool known = segment->last_batch < durable_number_ || planted(Plant::compact_young);
      return !segment->open && !segment->retired && known;
    });
    if (!residents.empty() && quiet) candidates.emplace_back(space_.live_bytes(chunk), chunk);
  }
  std::sort(candidates.begin(), candidates.end());
  const u64 chunk_size = space_.chunk_size();
  std::vector<u64> chosen;
  size_t worth = 0;  // so many of the chosen bring the most
  u64 best = 0;
  u64 live = 0;
  for (const auto& [bytes, chunk] : candidates) {
    // Targets are left with a little waste at their ends.
    const u64 with_this = live + bytes + bytes / 32 + block_size;
    const u64 targets = div_up(with_this, chunk_size);
    if (chosen.size() == victims_max || (targets > targets_max && targets + kept_from_compaction > space_.written_free())) {
      break;
    }
    chosen.push_back(chunk);
    live = with_this;
    const u64 gain = chosen.size() > targets ? chosen.size() - targets : 0;
    if (gain > best) {
      best = gain;
      worth = chosen.size();
    }
    if (gain >= wanted_gain) break;
  }
  if (best == 0 && chosen.size() * chunk_size >= live + chunk_size / 2) worth = chosen.size();
  chosen.resize(worth);
  return chosen;
}

Task<bool> Pool::compact() {
  co_await compacting_.acquire();
  const u64 began_ns = runtime_.now_ns();
  // What is chosen now stays: a segment that dies meanwhile is not forgotten, and a chunk that becomes empty is not given to the
  // log, which would then be copied from under its writer.
  const ReadGuard guard(space_);
  const std::vector<u64> chosen = victims();
  bool moved = false;
  if (!chosen.empty()) {
    // What was copied first may die while the rest is still on its way, and copies count only once the segment table points
    // at them. So the targets are held until all is done: an empty one would be given to somebody else.
    std::vector<u64> targets;
    ChunkWriter to(device_, space_, SpaceLevel::compaction, ChunkUse::target,
                   [&targets](u64 chunk) { targets.push_back(chunk); }, [this] { return fill_one(); });
    for (u64 chunk : chosen) {
      if (stopping_ || latched_) break;
      const Status status = co_await evacuate(chunk, to);
      if (!status && unreadable_.contains(chunk)) continue;
      if (!status) break;
      moved = true;
      ++counters_.compacted_chunks;
    }
    to.leave();
    for (u64 chunk : targets) {
      space_.mark_used(chunk, ChunkUse::segments);
      space_.close_chunk(chunk);
    }
    counters_.compacted_bytes += to.bytes_written();
    counters_.compaction_ns += runtime_.now_ns() - began_ns;
  }
  compacting_.release();
  co_return moved;
}

/// One round for quiet times: chunks that are more dead than alive come together, so that the host gets space back.
Task<bool> Pool::compact_idle() {
  u64 dead = 0;
  u64 chunks = 0;
  for (u64 chunk : victims()) {
    dead += space_.chunk_size() - space_.live_bytes(chunk);
    ++chunks;
  }
  if (chunks == 0 || dead * 2 < chunks * space_.chunk_size()) co_return false;
  const bool moved = co_await compact();
  if (!moved) co_return false;
  const Status status = co_await checkpoint();
  co_return status.ok();
}

/// Live slots that lie together, read in whole blocks.
struct Pool::Run {
  u64 slot;
  u64 count;
  u64 from;         // byte address of the first block
  u64 skip;         // bytes of it before the first slot
  MutBytes blocks;
  Status status;
};

Task<void> Pool::read_run(Run& run) { run.status = co_await device_.read(run.from, run.blocks); }

Task<Status> Pool::read_runs(std::span<Run> runs) {
  Gate reads(runtime_);
  for (Run& run : runs) reads.spawn(read_run(run));
  co_await reads.close();
  for (const Run& run : runs) {
    if (!run.status) co_return run.status;
  }
  co_return Status{};
}

Task<Status> Pool::evacuate(u64 chunk, ChunkWriter& to) {
  const std::vector<Segment*> residents = space_.residents(chunk);  // a copy: moving changes the list
  for (Segment* segment : residents) {
    if (auto status = co_await evacuate_segment(*segment, chunk, to); !status) co_return status;
  }
  co_return Status{};
}

/// Copies the live slots of those pieces of the segment that lie in `chunk`, and points the segment table at the copies.
Task<Status> Pool::evacuate_segment(Segment& segment, u64 chunk, ChunkWriter& to) {
  const SegmentRecord& record = segment.record;
  const u64 slot_bytes = slot_size(record.kind);
  const u64 slots = segment_slots(record.kind, space_.chunk_size());
  const std::vector<SegmentPiece> before = record.pieces;
  std::vector<SegmentPiece> pieces;
  std::vector<u64> present = record.present;
  if (present.empty()) present.assign(div_up(slots, 64), ~u64{0});
  AlignedBuffer buffer(read_buffer);
  std::vector<Run> runs;
  if (record.kind == SegmentKind::pages) {
    // A page stays in one piece, so all of them go to one chunk; a segment nearly full of live pages stays as it is.
    const u64 bytes = u64{segment.live_count} * slot_bytes;
    if (bytes + 4 * block_size > space_.chunk_size()) co_return Status{};
    if (auto chosen = co_await to.reserve(bytes); !chosen) co_return chosen.error();
  }

  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].offset / space_.chunk_size() != chunk) {
      pieces.push_back(before[i]);
      continue;
    }
    const u64 end = i + 1 < before.size() ? before[i + 1].first_slot : slots;
    bool in_piece = false;
    for (u64 slot = before[i].first_slot; slot < end;) {
      runs.clear();
      u64 buffered = 0;
      while (slot < end && runs.size() < reads_at_once && buffered + copy_max + 2 * block_size <= buffer.size()) {
        if (record.live.empty() || !bit(record.live, slot)) {
          set(present, slot, false);
          ++slot;
          continue;
        }
        // A run of live slots that also lie together. A page never spans two runs.
        u64 run = 1;
        while (slot + run < end && run * slot_bytes < copy_max && bit(record.live, slot + run)) ++run;
        u64 in_place = 0;
        const auto from = space_.locate(SlotName::of(record.number, slot), &in_place);
        if (!from) co_return Error{Code::corrupt, "a live slot has no place"};
        run = std::min(run, in_place);
        const u64 begin = round_down(*from, block_size);
        const u64 size = round_up(*from + run * slot_bytes, block_size) - begin;
        runs.push_back({slot, run, begin, *from - begin, buffer.span().subspan(buffered, size), {}});
        buffered += size;
        counters_.compaction_read_bytes += size;
        slot += run;
      }
      // What dies while it is read is copied as well: it is there, and nobody points at it.
      if (auto status = co_await read_runs(runs); !status) {
        unreadable_.insert(chunk);  // it stays where it is, and others are tried
        co_return status;
      }
      for (const Run& run : runs) {
        for (u64 done = 0; done < run.count;) {
          u64 count = run.count - done;
          bool other_chunk = false;
          if (record.kind == SegmentKind::data) {
            // What is left of the target is filled up; data may go on in the next one at any slot.
            if (to.room() >= 2 * block_size) count = std::min(count, to.room() / block_size - 1);
            auto moved = co_await to.reserve(count * slot_bytes);
            if (!moved) co_return moved.error();
            other_chunk = *moved;
          }
          const u64 at = to.append(run.blocks.subspan(run.skip + done * slot_bytes, count * slot_bytes), slot_bytes);
          if (!in_piece || other_chunk) pieces.push_back({static_cast<u32>(run.slot + done), at});
          in_piece = true;
          done += count;
        }
      }
    }
  }
  if (!planted(Plant::copies_staged)) {
    if (auto status = co_await to.flush(); !status) co_return status;
  }
  if (pieces.empty()) co_return Status{};  // nothing lives here any more: the next seal retires it
  if (!segment.retired) space_.moved(segment, std::move(pieces), std::move(present));
  co_return Status{};
}

}  // namespace brindle
