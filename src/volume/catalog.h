// catalog.h: volumes and snapshots by name and by id, and the table that keeps them.
//
// Holds:  1. A volume's name is unique; a snapshot's is unique within its volume.
//         2. A deleted volume stays, without a root, while it has snapshots: its name is theirs.
// Caller: the engine. Nothing here waits, and nothing here knows pages.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "format/tables.h"
#include "pool/pool.h"

namespace brindle {

struct Entry {
  EntryRecord record;
  std::map<std::string, Entry*, std::less<>> snapshots;  // of a volume, by name
  Entry* volume = nullptr;                               // of a snapshot
  u64 readers = 0;                                       // open handles
  u64 writers = 0;
  struct Counted {
    u64 referenced = 0;  // bytes
    u64 exclusive = 0;
    u64 at = 0;          // the last batch that was applied then
  };
  std::optional<Counted> counted;                        // by the last walk

  bool is_snapshot() const { return record.is_snapshot; }
  bool deleted() const { return record.root == 0; }
  std::string full_name() const { return is_snapshot() ? volume->record.name + "@" + record.name : record.name; }
};

class Catalog {
 public:
  Entry* find(EntryId id) const;
  /// Looks a `volume` or `volume@snapshot` up. Fails: invalid, not_found.
  Result<Entry*> lookup(std::string_view name) const;
  /// The same, deleted volumes included.
  Entry* volume_named(std::string_view name) const;

  Entry& add(EntryRecord record);
  void remove(Entry& entry);
  void rename(Entry& entry, std::string name);
  void changed(const Entry& entry) { dirty_.insert(entry.record.id / entries_a_bucket); }

  const std::map<std::string, Entry*, std::less<>>& volumes() const { return volumes_; }
  /// Every entry, in no order.
  std::vector<Entry*> all() const;
  u64 size() const { return entries_.size(); }
  u64 snapshot_count() const { return snapshots_; }
  u64 volume_count() const { return live_volumes_; }

  EntryId next_id = 1;

  // --- the table
  bool dirty() const { return !dirty_.empty(); }
  void seal();
  std::vector<Bucket> sealed_buckets() { return std::exchange(sealed_, {}); }
  Status load_bucket(Bytes bytes);
  Status loaded();

 private:
  std::unordered_map<EntryId, std::unique_ptr<Entry>> entries_;
  std::map<std::string, Entry*, std::less<>> volumes_;
  std::set<u64> dirty_;
  std::vector<Bucket> sealed_;
  u64 snapshots_ = 0;
  u64 live_volumes_ = 0;
};

}  // namespace brindle
