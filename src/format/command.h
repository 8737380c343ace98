// command.h: the records that change the catalog or a whole map at once. Data records are in batch.h.
//
// Holds:  1. A command names everything that it makes by ids given before it was logged, so replay makes the same again.
//         2. A command in batch N sees exactly the batches below N, and takes effect before N's data.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/codec.h"
#include "base/result.h"
#include "format/superblock.h"

namespace brindle {

using RootId = u64;   // names a map for life: of a head, a snapshot, or a hidden root
using EntryId = u64;  // names a volume or a snapshot in the catalog for life

inline constexpr size_t name_size_max = 128;
inline constexpr size_t label_key_size_max = 128;
inline constexpr size_t label_value_size_max = 1024;
inline constexpr size_t labels_max = 64;

using LabelMap = std::map<std::string, std::string>;

/// What every new volume or snapshot gets.
struct NewEntry {
  EntryId entry = 0;
  RootId root = 0;
  std::string name;  // of a snapshot: the part behind the @
  Uuid uuid{};
};

struct CreateVolume {
  NewEntry volume;
  u64 size = 0;
  u64 created_ns = 0;
  LabelMap labels;
};
struct CreateSnapshots {  // one instant
  struct One {
    EntryId volume = 0;
    NewEntry snapshot;
  };
  std::vector<One> snapshots;
  u64 created_ns = 0;
  LabelMap labels;
};
struct CreateClones {
  EntryId source = 0;
  RootId hidden = 0;  // of a live volume: the snapshot that nobody sees and that the clones hang from
  std::vector<NewEntry> clones;
  u64 created_ns = 0;
  LabelMap labels;
};
struct RollBack {
  struct One {
    EntryId volume = 0;
    EntryId snapshot = 0;
    NewEntry saved;  // what the volume held before; with entry 0 the map `saved.root` dies instead
  };
  std::vector<One> volumes;
  u64 created_ns = 0;
};
struct RemoveEntries {
  std::vector<EntryId> entries;
};
struct ResizeVolume {
  EntryId volume = 0;
  u64 size = 0;
  RootId hidden = 0;  // shrinking: holds what lies beyond, and dies
};
struct DiscardLeaves {  // a discard of many whole leaves: a hidden snapshot that dies at once
  RootId head = 0;
  u64 first_leaf = 0;
  u64 count = 0;
  RootId hidden = 0;
};
struct RenameEntry {
  EntryId entry = 0;
  std::string name;
};
struct ProtectEntry {
  EntryId entry = 0;
  bool on = false;
};
struct LabelEntry {
  EntryId entry = 0;
  LabelMap labels;
};

using Command = std::variant<CreateVolume, CreateSnapshots, CreateClones, RollBack, RemoveEntries, ResizeVolume,
                             DiscardLeaves, RenameEntry, ProtectEntry, LabelEntry>;

/// Commands that change pages, not only roots. Nothing else may follow one in its batch (a snapshot would share pages
/// that are as young as itself).
inline bool changes_pages(const Command& command) {
  return std::holds_alternative<ResizeVolume>(command) || std::holds_alternative<DiscardLeaves>(command);
}

void encode_command(Writer& to, const Command& command);
/// Fails: corrupt.
Result<Command> decode_command(Reader& from);

void encode_labels(Writer& to, const LabelMap& labels);
LabelMap decode_labels(Reader& from);

}  // namespace brindle
