// holders.h: volumes and snapshots with the damage that each holds, as of the checkpoint and, record by record, behind it.
//
// What a snapshot, clone or rollback in the log shares it shares with its damage; what a write covers is whole again.
//
// Caller: the verifier, in the order of the log.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>

#include "check/family.h"
#include "check/ranges.h"
#include "format/batch.h"

namespace brindle {

class Holders {
 public:
  explicit Holders(const Family& family);

  /// What a volume or snapshot holds by the checkpoint.
  void damaged(RootId root, Ranges ranges);
  /// False: the command names what is not there, or makes what is there already.
  bool apply(const Command& command);
  /// A data record. `bad`: of its blocks from `first` on; nothing where the volume is gone or ends before it.
  void apply(const DataRecord& record);
  void damaged_data(RootId head, u64 block, Bad bad);
  /// One line for each damaged range of each volume and snapshot.
  void report(Findings& findings) const;

  u64 volumes() const;
  u64 snapshots() const;

 private:
  struct Entry {
    std::string name;
    bool is_snapshot = false;
    EntryId volume = 0;
    RootId root = 0;  // 0: a deleted volume
  };
  struct Map {
    u64 size = 0;
    bool head = false;
    Ranges ranges;
  };
  Entry* find(EntryId id);
  Map* map_of(EntryId id);
  bool add(const NewEntry& made, EntryId volume, u64 size, const Ranges& ranges);
  bool remove(EntryId id);
  bool name_is_free(EntryId volume, const std::string& name) const;

  bool apply_one(const CreateVolume& command);
  bool apply_one(const CreateSnapshots& command);
  bool apply_one(const CreateClones& command);
  bool apply_one(const RollBack& command);
  bool apply_one(const RemoveEntries& command);
  bool apply_one(const ResizeVolume& command);
  bool apply_one(const DiscardLeaves& command);
  bool apply_one(const RenameEntry& command);
  bool apply_one(const ProtectEntry& command);
  bool apply_one(const LabelEntry& command);

  std::map<EntryId, Entry> entries_;
  std::map<std::pair<EntryId, std::string>, EntryId> names_;  // volume (0: of volumes themselves), name
  std::unordered_map<RootId, Map> maps_;
  std::deque<Bad> from_log_;
};

}  // namespace brindle
