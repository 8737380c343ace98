// space.h: which chunks hold which segments, which slots are live, and what is free.
//
// Holds:  1. Liveness in the segment table is that of the last seal (plus the pages that its checkpoint placed): names
//            given or freed since wait in lists, and only the next seal takes them. So the table that a checkpoint
//            writes is the state at exactly its number, however long the writing takes. What a seal took is applied by
//            and by, while requests go on; until then what is dead may count as alive, and what is new lies in chunks that
//            nobody touches before the checkpoint is durable (Pool::quiet).
//         2. A chunk is given again only when a checkpoint without its old content is durable and every read that began
//            before that has ended (Releases).
//         3. The counters behind `used` are of now, not of the last seal.
// Caller: the pool's home core.
// Disk:   nothing here is durable before the checkpoint that writes the segment table.
// Fails:  no_space, before anything changed.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/result.h"
#include "format/segments.h"
#include "pool/releases.h"

namespace brindle {

enum class ChunkUse : u8 {
  free,
  superblocks,  // chunk 0
  segments,     // one or more segments, whole or packed
  tables,       // buckets, directory and root of checkpoints
  target,       // compaction copies into it: it stays, whatever lives there, until it is left
  releasing,    // empty, but the durable checkpoint or a reader may still look
};

/// What the levels below a caller's own may still need: a checkpoint's pages and tables, compaction's targets. So many
/// chunks are always kept filled, since a host that is full itself gives no more.
inline constexpr u64 kept_from_writes = 8;
inline constexpr u64 kept_from_compaction = 3;

/// Who asks for a chunk: the later levels may go on where the earlier ones must stop.
enum class SpaceLevel : u8 { write, compaction, checkpoint };

/// What the checkpoint's tables say of a segment.
enum class InTable : u8 {
  no,
  elsewhere,  // where it lay before, or too little of what died: it is to be told of as a whole
  here,       // but for the liveness of the slots that were touched since
};

struct Segment {
  u64 base = 0;  // byte address of slot 0, unless it is packed
  SegmentRecord record;
  bool open = false;           // the log or a checkpoint still adds to it
  bool retired = false;        // nothing lives in it any more; it is kept until its chunk is released
  u64 last_batch = 0;          // of a log segment: replay needs it while a checkpoint is not above this number
  InTable in_table = InTable::no;
  bool changed = false;          // since the last checkpoint told of it
  std::vector<SlotRun> touched;  // slots that came to life or died since then, of one that is in the table here

  /// The last piece that begins at the slot or before; the first one where none does.
  size_t piece_of(u64 slot) const {
    if (record.pieces.size() == 1) return 0;
    const auto next = std::upper_bound(record.pieces.begin(), record.pieces.end(), slot,
                                       [](u64 at, const SegmentPiece& piece) { return at < piece.first_slot; });
    return next == record.pieces.begin() ? 0 : static_cast<size_t>(next - record.pieces.begin()) - 1;
  }
  /// What it takes in memory, with what the allocator and the tables of segments take for it.
  u64 memory_bytes() const {
    constexpr u64 of_each = sizeof(Segment) + 96;
    return of_each + record.live.bytes() + record.present.bytes() + record.pieces.size() * sizeof(SegmentPiece);
  }

  /// The next checkpoint tells of it as a whole.
  void lies_elsewhere() {
    if (in_table == InTable::here) in_table = InTable::elsewhere;
    touched = std::vector<SlotRun>();
  }
};

/// One past the last slot of `pieces[at]`, of a segment of so many slots.
inline u64 piece_end(const std::vector<SegmentPiece>& pieces, size_t at, u64 slots) {
  return at + 1 < pieces.size() ? pieces[at + 1].first_slot : slots;
}

/// Where the slots of one piece lie, asked for one behind the other: each step counts only what lies between. (Space::locate counts from the
/// beginning of the piece each time, which in a segment of pages may be thousands of slots.)
class PieceWalk {
 public:
  struct At {
    u64 offset;  // byte address
    u64 slots;   // that lie side by side from there on
  };
  PieceWalk(const Segment& segment, size_t piece, u64 slots);
  /// No slot below the last one may be asked for. None where the slot has no place.
  std::optional<At> at(u64 slot);

 private:
  const SegmentRecord& record_;
  u64 slot_;    // the last one
  u64 offset_;  // where it lies, or would
  u64 end_;     // of the piece
};

class Space {
 public:
  explicit Space(u64 chunk_size);

  // --- chunks
  u64 chunk_size() const { return chunk_size_; }
  u64 chunk_offset(u64 chunk) const { return chunk << chunk_bits_; }
  /// The chunk that a byte address lies in.
  u64 chunk_of(u64 offset) const { return offset >> chunk_bits_; }
  u64 capacity_chunks() const { return capacity_; }
  /// How many chunks the pool may have; never below those that it has.
  void set_capacity(u64 chunks);
  /// Chunks of the file that were written once, so that a flush is fast there; the rest must be filled first.
  u64 chunks_made() const { return uses_.size(); }
  /// The first free chunk from `from` on that must be filled before it may be used: a punched one, or the next beyond the end.
  std::optional<u64> next_to_fill(u64 from = 0) const;
  void filled(u64 chunk);
  /// Takes a free, written chunk; nothing when the level's share is used up (or all must be filled first).
  std::optional<u64> take_chunk(SpaceLevel level, ChunkUse use);
  /// A chunk that was taken and not used after all.
  void give_back(u64 chunk);
  u64 written_free() const { return free_written_.size(); }
  /// Chunks that are free or can still be made.
  u64 free_chunks() const;
  ChunkUse use(u64 chunk) const { return uses_[chunk]; }
  /// Free chunks to give back to the host, beyond those that the next writes want.
  std::vector<u64> punchable(u64 keep) const;
  /// The chunk counts as one that must be filled from now on. False: it has been taken since, and must not be punched.
  [[nodiscard]] bool punched(u64 chunk);
  /// It still does: nobody has filled it since.
  bool is_punched(u64 chunk) const { return free_punched_.count(chunk) > 0; }
  const std::vector<u64>& punched_bitmap() const { return punched_; }
  void load_chunks(u64 made, const std::vector<u64>& punched);
  void mark_used(u64 chunk, ChunkUse use);

  // --- segments
  /// A number never given before. Rises by one; one counter serves data and pages.
  u64 next_segment_number() { return next_segment_++; }
  u64 segment_numbers_given() const { return next_segment_; }
  void load_segment_numbers(u64 next) { next_segment_ = next; }
  Segment& add_segment(SegmentRecord record, bool open);
  Segment* find(u64 number);
  const Segment* find(u64 number) const;
  void close_segment(u64 number);
  /// The byte address of `slot`; nothing when the segment table knows no such slot. `run`: how many slots follow in place.
  std::optional<u64> locate(SlotName name, u64* run = nullptr) const;
  /// Compaction moved what lives in a segment.
  void moved(Segment& segment, std::vector<SegmentPiece> pieces, SlotSet present);
  /// Does the log or a checkpoint still add to something in `chunk`?
  bool is_open(u64 chunk) const { return open_in_[chunk] > 0; }
  /// Of what was ever placed in `chunk` since it was taken: a replay from a checkpoint above this number needs nothing there.
  u64 last_batch(u64 chunk) const { return last_batch_in_[chunk]; }
  /// Segments that have something in `chunk`.
  const std::vector<Segment*>& residents(u64 chunk) const { return residents_[chunk]; }
  /// The blocks of `chunk` in which something lives, by the last seal: a bit each. Nothing where a live slot has no place.
  std::optional<std::vector<u64>> blocks_lived_in(u64 chunk) const;
  /// What is dead to the table is dead to the durable checkpoint and to everybody who looks: it may be written over.
  bool settled() const { return !moved_ && !settling(); }
  /// It will be, in a moment, unless something moves: a checkpoint is under way, or somebody looks since before the last one.
  bool settling() const { return sealed_ || !releases_.empty(); }
  /// Something was moved since the last seal: the next checkpoint lets go of where it was.
  bool has_moved() const { return moved_; }
  /// Bytes in `chunk` that live, by the last seal.
  u64 live_bytes(u64 chunk) const { return segment_live_[chunk] + table_live_[chunk]; }

  // --- liveness
  /// A batch got its place in the segment: from now on the segment stays at least until a seal above the batch, closed
  /// and without a live block as it may be.
  void placed(u64 segment, u64 batch);
  /// The batch was applied: these blocks are named.
  void allocated(SlotName first, u64 count, u64 batch);
  void free_block(SlotName name);
  void free_page(const PageRef& page);
  /// A checkpoint under way placed a page (it belongs to the state that it writes).
  void placed_page(const PageRef& page);
  /// The table is to hold the state of all batches below `number`, as soon as all is applied.
  void seal(u64 number);
  /// Applies some more of what was given and freed before the seal: so many names. False: that was all.
  bool apply_sealed(u64 names);
  /// The checkpoint of the last seal is durable: what it does not name may be given again, once readers have ended.
  void durable();
  u64 names_freed() const { return names_.freed_blocks.size() + names_.freed_pages.size(); }

  // --- readers
  /// Between enter and leave no chunk that was in use at enter is given again.
  u64 enter() { return releases_.enter(); }
  void leave(u64 generation);
  /// Somebody who looks (but for one who entered at `own`) began before the last seal, and may need what is dead to the table since.
  bool read_from_before_seal(u64 own = 0) const { return releases_.read_from_before_seal(own); }
  /// Chunks that are empty in the durable checkpoint, and would be given again but for those who look.
  u64 held_chunks() const { return releases_.chunks(); }

  // --- tables of the checkpoint, by byte address
  void table_written(const Place& place);
  void table_dropped(const Place& place);
  /// Nothing more is written to `chunk`, or a table in it was dropped: is it empty?
  void close_chunk(u64 chunk);
  /// Nothing more is copied to a target: is it empty?
  void leave_target(u64 chunk);

  // --- the account
  u64 live_blocks() const { return live_blocks_; }
  u64 live_page_bytes() const { return live_page_slots_ * page_slot_size; }
  u64 table_bytes() const { return table_bytes_; }
  /// Bytes freed that are not to be had before a checkpoint is durable.
  u64 pending_bytes() const { return pending_bytes_ + releasing_bytes_; }

  // --- the segment table
  /// Of all segments: what the table is long by, beside a bit or two for each block.
  u64 pieces() const { return pieces_; }
  /// What it takes in memory.
  u64 memory_bytes() const { return memory_bytes_; }
  struct Changes {
    Writer bytes;              // as the table of changes has them
    std::vector<u64> buckets;  // keys, rising
    bool begun = false;
    std::map<u64, std::vector<u64>> left;  // numbers of segments that are not told of yet, by bucket
    u64 last = 0;                          // the number that was told of last
  };
  /// Tells some more of what changed since the last time, of so many segments and the rest of a bucket. False: that was all. What moves
  /// meanwhile is told of now or the next time: it can be had where it was until then.
  bool tell_changes(Changes& changes, u64 segments);
  /// As it is now.
  std::vector<std::byte> encode_bucket(u64 key) const;
  /// Into an empty pool whose chunks are known. Fails: corrupt.
  Status load(SegmentTable& table);

 private:
  template <class List, class Count, class Apply>
  void apply_some(List& names, u64& left, Count count, Apply apply);
  void retire_closed();
  void enter_chunk(Segment& segment, u64 chunk);
  void leave_chunk(Segment& segment, u64 chunk);
  void settle_in(Segment& segment);
  void leave_chunks(Segment& segment);
  void resettle(Segment& segment, const std::vector<SegmentPiece>& before);
  struct InChunk {
    u64 chunk;
    u64 live;  // bytes of one segment that live in it
  };
  std::vector<InChunk> by_chunk(const SegmentRecord& record) const;
  void set_live(Segment& segment, u32 slot, u64 count, bool live);
  void changed(Segment& segment);
  void touched(Segment& segment, SlotRun run);
  bool tell_change(Segment& segment, Changes& changes) const;
  void settle_chunk(u64 chunk);
  void let_go();

  u64 chunk_size_;
  int chunk_bits_;  // it is a power of two: asked of every piece of a segment, a division would cost more than the rest
  u64 next_segment_ = 1;
  u64 capacity_ = 0;
  std::vector<ChunkUse> uses_;                  // by chunk; as long as the device
  std::vector<std::vector<Segment*>> residents_;  // each once, however many pieces it has there
  std::vector<u32> open_in_;                      // how many of these are open, by chunk
  std::vector<u64> last_batch_in_;                // of those that are or were there, by chunk
  std::vector<u64> segment_live_;                 // bytes that live in segments, by chunk
  std::vector<u64> table_live_;                 // bytes of live tables, by chunk
  std::vector<u64> punched_;
  std::set<u64> free_written_;
  std::set<u64> free_punched_;

  boost::unordered_flat_map<u64, std::unique_ptr<Segment>> segments_;  // each block that is read looks into it
  std::map<u64, std::vector<u64>> changed_;     // numbers of the segments that did, by bucket, in any order there
  u64 pieces_ = 0;
  u64 memory_bytes_ = 0;  // of all segments

  struct Range {
    SlotName first;
    u64 count;
  };
  struct Names {
    std::vector<Range> allocated;
    std::vector<SlotName> freed_blocks;
    std::vector<PageRef> freed_pages;
  };
  Names names_;         // since the last seal
  Names sealed_names_;  // taken by it
  size_t applied_ = 0;  // of these
  u64 sealed_number_ = 0;
  bool applying_ = false;
  std::set<u64> closed_;                        // segments to look at in the next seal: closed, or emptied
  std::vector<u64> emptied_;                    // chunks whose content left since the last seal
  std::vector<u64> releasing_;                  // chunks to release when the checkpoint under way is durable
  std::vector<u64> retiring_;                   // segments, the same

  Releases releases_;
  bool sealed_ = false;  // and the checkpoint of the last seal is not durable yet
  bool moved_ = false;   // since the last seal: the durable checkpoint still looks where it was before

  u64 live_blocks_ = 0;
  u64 live_page_slots_ = 0;
  u64 table_bytes_ = 0;
  u64 pending_bytes_ = 0;
  u64 releasing_bytes_ = 0;
};

/// Holds a reader's place in Space for as long as it lives.
class ReadGuard {
 public:
  explicit ReadGuard(Space& space) : space_(space), generation_(space.enter()) {}
  ReadGuard(const ReadGuard&) = delete;
  ReadGuard& operator=(const ReadGuard&) = delete;
  ~ReadGuard() { space_.leave(generation_); }
  u64 generation() const { return generation_; }

 private:
  Space& space_;
  u64 generation_;
};

}  // namespace brindle
