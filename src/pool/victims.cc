// victims.cc: which chunks compaction empties, and in which it puts what lived there.
//
// Holds:  1. What replay would read is left alone, and what is open (quiet).
//         2. Nobody knows any more what was in the holes that are found (Space::settled).
//         3. What is chosen can be copied: there are empty chunks or holes enough.
#include <algorithm>

#include "base/bitmap.h"
#include "base/planted.h"
#include "pool/pool.h"

namespace brindle {

namespace {

constexpr size_t victims_max = 96;
constexpr u64 room_step_min = 8;   // chunks
constexpr u64 room_step_max = 32;  // chunks
constexpr u64 reluctant_min = 4;   // chunks, or a part of what is wanted: when fewer are won, those that had better wait are taken too
constexpr u64 reluctant_part = 4;
constexpr u64 room_step_part = 16;
constexpr u64 low_water_min = kept_from_writes + 2;  // chunks
constexpr u64 low_water_max = 96;                    // chunks
constexpr u64 low_water_part = 8;
constexpr u64 low_water_few = 24;  // chunks: up to so many it is the larger part
constexpr u64 low_water_few_part = 4;
constexpr u64 copies_min = 4;  // empty chunks to copy into that are worth a round
constexpr u64 begun_chunks = 2;  // that the log and the pages of a checkpoint will take a part of, but no copy can
// A victim with less than this part alive goes into an empty chunk: that costs hardly more.
constexpr u64 holes_from = 10;
// A chunk with less than this part dead is filled up only if the others do not suffice: the same room is to be had in fewer chunks, and
// fewer, longer pieces.
constexpr u64 holes_part_min = 10;
constexpr u64 piece_memory_part = 8;  // of the memory for dirty maps

}  // namespace

/// A victim that wins less than this is not worth its copy. It covers what is wasted at the ends of targets.
u64 Pool::gain_min() const { return space_.chunk_size() / 64 + block_size; }

/// Chunks that nothing lives in, if what lives were brought together.
u64 Pool::dead_chunks() const {
  const u64 taken = used();
  return size() > taken ? (size() - taken) / space_.chunk_size() : 0;
}

/// How many chunks are won at a time: a part of those that are dead. Each time costs two checkpoints, and the more is dead the less is
/// copied for it; where little is dead it had better become more before it is copied around.
u64 Pool::room_step() const { return std::clamp(dead_chunks() / room_step_part, room_step_min, room_step_max); }

/// Below so many empty chunks room is made before the log has to wait for it: a log at full speed is to find as many made before it
/// has used up what is above the reserve. What is kept empty is missing where victims are to die; but where little is dead each chunk takes
/// many copies, and with two or three above the reserve all writes would wait for them.
u64 Pool::low_water() const {
  const u64 dead = dead_chunks();
  const u64 few = std::min(dead / low_water_few_part, low_water_few);
  return std::clamp(std::max(dead / low_water_part, few), low_water_min, low_water_max);
}

/// Nothing in the chunk is open, or wanted by a replay.
bool Pool::quiet(u64 chunk) const {
  // All chunks are asked this: in a large pool their segments are no longer looked at for it.
  if (space_.use(chunk) != ChunkUse::segments || space_.is_open(chunk) || space_.residents(chunk).empty()) return false;
  const bool known = space_.last_batch(chunk) < durable_number_ || planted(Plant::compact_young);
  return known && !failing_.contains(chunk);
}

/// Blocks in the chunk that are not to be torn apart: those that live side by side with many others, since whoever wrote them together may
/// read them together; and pages.
u64 Pool::held_together(u64 chunk) const {
  const auto lived_in = space_.blocks_lived_in(chunk);
  const u64 blocks = space_.chunk_size() / block_size;
  if (!lived_in) return blocks;
  u64 sum = 0;
  for (const Segment* segment : space_.residents(chunk)) {
    if (segment->record.kind == SegmentKind::pages)
      sum += div_up(segment->record.live.count() * page_slot_size, block_size);
  }
  for (u64 from = 0; (from = next_bit(*lived_in, true, from, blocks)) < blocks;) {
    const u64 to = next_bit(*lived_in, false, from, blocks);
    if (to - from >= long_run) sum += to - from;
    from = to;
  }
  return std::min(sum, blocks);
}

/// Is a chunk with so much alive to be copied into holes? They tear segments into pieces, which stay in memory: in a large pool with little
/// of it there are soon enough.
bool Pool::holes_pay(u64 live) const {
  const u64 chunk_size = space_.chunk_size();
  if (live * holes_from <= chunk_size || live >= chunk_size) return false;
  return space_.pieces() * sizeof(SegmentPiece) <= options_.dirty_memory_max / piece_memory_part;
}

/// The chunks with the least that lives: as many as win `room_step`, or as fill what may be copied into; none where nothing can be won.
std::vector<Pool::Victim> Pool::victims() const {
  const u64 chunk_size = space_.chunk_size();
  std::vector<std::pair<u64, u64>> candidates;  // live bytes, chunk
  u64 dead = 0;                                 // in chunks that stay
  for (u64 chunk = 1; chunk < space_.chunks_made(); ++chunk) {
    if (!quiet(chunk)) continue;
    const u64 live = space_.live_bytes(chunk);
    dead += chunk_size - std::min(live, chunk_size);
    if (live + gain_min() <= chunk_size) candidates.emplace_back(live, chunk);
  }
  const size_t most = std::min(victims_max, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(most), candidates.end());
  // One chunk to copy into is always to be had; while there are more the log is to have its share.
  const bool shares = space_.written_free() >= kept_from_writes + begun_chunks + copies_min;
  const auto for_log = [this, shares](u64 won) { return shares ? share_of_log(won) : 0; };
  const u64 kept = shares ? kept_from_writes + begun_chunks : kept_from_compaction;
  const u64 empty = std::max<u64>(space_.written_free(), kept + 1) - kept;
  const u64 room = empty * chunk_size + (target_ ? target_->room() : 0);
  std::vector<Victim> chosen;
  std::vector<std::pair<u64, u64>> waiting;  // candidates that had better die some more
  u64 copied = 0;                            // into empty chunks
  u64 into_holes = 0;
  u64 won = 0;
  const u64 wanted = room_step() * chunk_size;
  const bool settled = space_.settled() || planted(Plant::holes_unsettled);
  for (size_t i = 0; i < most && won < wanted; ++i) {
    const auto [live, chunk] = candidates[i];
    const bool may_be_torn = holes_pay(live);
    const u64 together = settled && may_be_torn ? std::min(held_together(chunk) * block_size, live) : live;
    const bool orderly = together > live / 2;
    if (orderly && may_be_torn && live > chunk_size / 2) {
      waiting.push_back(candidates[i]);
      continue;
    }
    const u64 to_target = orderly ? live : together;
    const u64 wins = chunk_size - to_target;
    if (copied + to_target + gain_min() + for_log(won + wins) > room) continue;
    // Half of what is dead elsewhere: the rest is in chunks that are too full, or in runs too short.
    if (into_holes + live - to_target > (dead - (chunk_size - live)) / 2) continue;
    dead -= chunk_size - live;
    copied += to_target + gain_min();
    into_holes += live - to_target;
    won += wins;
    chosen.push_back({chunk, to_target < live, wins});
  }
  for (const auto& [live, chunk] : waiting) {
    if (won >= std::max(reluctant_min * chunk_size, wanted / reluctant_part)) break;
    const u64 wins = chunk_size - live;
    copied += live + gain_min();
    if (copied + for_log(won + wins) > room) break;
    won += wins;
    chosen.push_back({chunk, false, wins});
  }
  return chosen;
}

/// The fullest chunks that have holes enough: what is put there is the least likely to be carried on soon. Then those with fewer, the
/// emptiest first.
void Pool::find_holes(const std::vector<Victim>& chosen) {
  const u64 chunk_size = space_.chunk_size();
  u64 wanted = 0;
  std::set<u64> leaving;
  for (const Victim& victim : chosen) {
    leaving.insert(victim.chunk);
    if (victim.into_holes) wanted += space_.live_bytes(victim.chunk) / block_size;
  }
  if (wanted == 0) return;
  std::vector<std::pair<u64, u64>> candidates;  // live bytes, chunk
  for (u64 chunk = 1; chunk < space_.chunks_made(); ++chunk) {
    if (!leaving.contains(chunk) && quiet(chunk)) candidates.emplace_back(space_.live_bytes(chunk), chunk);
  }
  // A few of many are wanted: a heap, the next one on top.
  const auto is_behind = [too_full = chunk_size - chunk_size / holes_part_min](const auto& a, const auto& b) {
    const bool a_full = a.first > too_full;
    const bool b_full = b.first > too_full;
    return a_full != b_full ? a_full : a_full ? a > b : a < b;
  };
  std::make_heap(candidates.begin(), candidates.end(), is_behind);
  while (holes_.left() < wanted && !candidates.empty()) {
    holes_.add(candidates.front().second);
    std::pop_heap(candidates.begin(), candidates.end(), is_behind);
    candidates.pop_back();
  }
}

}  // namespace brindle
