// segments.h: the segment table: where the slots of segments lie and which of them are live, and what a checkpoint changed of that.
//
// Under writes at random something changes in nearly every segment between two checkpoints, and little in each. So most of
// the table's buckets stay as they were written at some checkpoint before, and each checkpoint since has told what it changed.
//
// Holds:  1. A change says what is, not what was done: so the changes of consecutive checkpoints, up to the newest one and in their
//            order, give its state whatever checkpoint among them each bucket is of.
//         2. So a change may be about a segment that its bucket does not have any more. Then a later one says that it is gone.
#pragma once

#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/codec.h"
#include "base/result.h"
#include "format/slot_set.h"
#include "format/tables.h"

namespace brindle {

enum class SegmentKind : u8 { data = 0, pages = 1 };

/// A run of a segment's slots, from `first_slot` on up to the next piece, and the byte address of the first of them.
struct SegmentPiece {
  u32 first_slot = 0;
  u64 offset = 0;
  bool operator==(const SegmentPiece&) const = default;
};

/// Where a segment's slots are. A whole segment is one piece with all its slots in it. Of a packed one (compaction
/// made it) each piece has only the slots in `present`, one right after the other.
struct SegmentRecord {
  u64 number = 0;
  SegmentKind kind = SegmentKind::data;
  bool packed = false;
  std::vector<SegmentPiece> pieces;
  SlotSet live;
  SlotSet present;  // of a packed segment
};

/// So many slots of a segment from `first` on.
struct SlotRun {
  u32 first = 0;
  u32 count = 0;
};

/// What became of a segment between two checkpoints.
struct SegmentChange {
  enum class Kind : u8 {
    gone = 0,   // it is not in the table any more
    whole = 1,  // it is new, or lies elsewhere: `record` is all of it
    slots = 2,  // those of `live` are live now, those of `dead` are not
  };
  u64 number = 0;
  Kind kind = Kind::gone;
  SegmentRecord record;
  std::vector<SlotRun> live;  // rising, and none of both overlap
  std::vector<SlotRun> dead;
};

/// On nonsense every `decode` fails its reader: look at `from.ok()` before anything else.
void encode_segment(Writer& to, const SegmentRecord& segment);
/// On nonsense its number is 0 too.
SegmentRecord decode_segment(Reader& from, u64 chunk_size);
/// `last`: the number of the change before it, 0 for the first; numbers rise.
void encode_change(Writer& to, const SegmentChange& change, u64 last);
/// A change of kind `whole`, of a record that is not to be copied for it.
void encode_whole(Writer& to, const SegmentRecord& record, u64 last);
/// On nonsense its number is 0 too.
SegmentChange decode_change(Reader& from, u64 last, u64 chunk_size);

/// How many slots a segment of that kind has in a whole chunk.
constexpr u64 segment_slots(SegmentKind kind, u64 chunk_size) {
  return chunk_size / (kind == SegmentKind::data ? block_size : page_slot_size);
}
constexpr u64 slot_size(SegmentKind kind) { return kind == SegmentKind::data ? block_size : page_slot_size; }

/// The table as it is read: all buckets in any order, then all changes in the order of their checkpoints.
class SegmentTable {
 public:
  struct Entry {
    SegmentRecord record;
    Place place;  // of what told of it: a bucket, or changes
  };

  explicit SegmentTable(u64 chunk_size) : chunk_size_(chunk_size) {}

  /// Fails: corrupt, and what stood before the nonsense is in the table.
  Status load(u64 key, const Place& place, Bytes bucket);
  /// Returns the keys of the buckets that something changed in. Fails: corrupt, likewise.
  Result<std::set<u64>> apply(const Place& place, Bytes changes);
  /// After the last change. Fails: corrupt.
  Status complete() const;
  std::unordered_map<u64, Entry>& entries() { return entries_; }
  /// Of its segments, rising.
  std::vector<u64> numbers() const;

 private:
  u64 chunk_size_;
  std::unordered_map<u64, Entry> entries_;
  std::unordered_set<u64> unknown_;  // segments that changed, and are in no bucket
};

}  // namespace brindle
