// tables.h: the checkpoint's tables: roots, catalog entries, what branch points let go, and debts; those of segments are in segments.h.
//
// A table is cut into buckets by a key (an id divided by the bucket's width). A bucket is written anew only when
// something in it changed. The directory lists all buckets of all tables; the checkpoint's root lists the directory.
//
// Holds:  buckets, directory and root are addressed by byte, not by name: the segment table is what explains names.
#pragma once

#include <vector>

#include "base/codec.h"
#include "base/result.h"
#include "format/command.h"
#include "format/page.h"

namespace brindle {

enum class TableId : u8 { segments = 0, roots = 1, entries = 2, gone = 3, debts = 4, changes = 5 };
inline constexpr u32 table_count = 6;

inline constexpr u64 segments_a_bucket = 64;
inline constexpr u64 roots_a_bucket = 16;
inline constexpr u64 entries_a_bucket = 16;
inline constexpr u64 gone_leaves_a_bucket = 64;
inline constexpr unsigned gone_root_shift = 24;  // gone bucket key: root << 24 | leaf / 64

enum class RootKind : u8 { head = 0, snapshot = 1, branch = 2, dying = 3 };

struct RootRecord {
  RootId id = 0;
  RootKind kind = RootKind::head;
  RootId parent = 0;
  EntryId entry = 0;    // the volume or snapshot that it belongs to; 0: hidden
  u64 number = 0;       // of the batch that made it: it shares pages born below
  SlotName position;    // the first name of that batch: it shares blocks named below
  u64 size = 0;         // bytes
  u8 height = 0;        // nodes between root and leaf
  u64 cursor = 0;       // of a dying root: it is gone from the leaves below
  PageRef map;
};

struct EntryRecord {
  EntryId id = 0;
  bool is_snapshot = false;
  bool is_protected = false;
  RootId root = 0;      // 0: a volume that was deleted while snapshots of it remain
  EntryId volume = 0;   // of a snapshot
  EntryId origin = 0;   // the snapshot (or volume) that it was cloned from or rolled back to
  u64 created_ns = 0;
  u64 size = 0;         // bytes
  u64 saved_count = 0;  // of a volume: the N of the last before-rollback-N
  std::string name;
  Uuid uuid{};
  LabelMap labels;
};

/// At one leaf, what a branch point has let go: some blocks, or everything.
struct GoneRecord {
  u64 leaf = 0;
  bool all = false;
  std::array<u64, leaf_blocks / 64> blocks{};
};

/// An entry of a page that a head hid while the page could not be read. What it named is free, unless it is older than the parent of
/// that moment: then it is the parent's.
struct Debt {
  u32 entry = 0;  // debt_of_base: the base of the page, which is a patch
  bool has_parent = false;
  SlotName parent_position;
  u64 parent_number = 0;
};
inline constexpr u32 debt_of_base = leaf_blocks;
/// More are not written down for one page: what they are about stays allocated after a restart.
inline constexpr size_t debts_a_page_max = 8192;

/// All that is owed for one page. A bucket has one, and its key is the page's name.
struct DebtRecord {
  PageRef page;
  bool let_go = false;  // nobody holds the page any more: it is free too once it was read
  std::vector<Debt> debts;
};

/// On nonsense every `decode` fails its reader: look at `from.ok()` before anything else.
/// `map_at` receives the offset in `to` of the map's reference, which the checkpoint fills in later.
void encode_root(Writer& to, const RootRecord& root, size_t* map_at = nullptr);
RootRecord decode_root(Reader& from);
void encode_entry(Writer& to, const EntryRecord& entry);
EntryRecord decode_entry(Reader& from);
void encode_gone(Writer& to, const GoneRecord& gone);
GoneRecord decode_gone(Reader& from);
void encode_debts(Writer& to, const DebtRecord& owed);
DebtRecord decode_debts(Reader& from);

/// One bucket, or one piece of the directory, at a byte address. Pieces are written one after the other; the first of
/// a run begins on a block.
struct Place {
  u64 offset = 0;
  u32 length = 0;
  u32 crc = 0;
};

struct DirectoryEntry {
  TableId table = TableId::segments;
  u64 key = 0;
  Place place;
};

void encode_directory_entry(Writer& to, const DirectoryEntry& entry);
DirectoryEntry decode_directory_entry(Reader& from);

inline constexpr u32 root_magic = 0x544f4f52;  // "ROOT"

/// The checkpoint's root: all that is not in a table.
struct CheckpointRoot {
  u64 number = 0;
  Uuid pool{};
  u64 next_root = 1;
  u64 next_entry = 1;
  u64 chunks_written = 0;              // chunks below this were once filled: the length of the file in chunks
  std::vector<u64> punched;            // bitmap of chunks that were given back to the host since
  std::vector<Place> directory;
};

std::vector<std::byte> encode_checkpoint_root(const CheckpointRoot& root);
Result<CheckpointRoot> decode_checkpoint_root(Bytes bytes);

}  // namespace brindle
