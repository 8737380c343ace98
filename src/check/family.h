// family.h: roots, the trees that they form, and the catalog entries that name them.
//
// Holds:  1. After `check` every parent pointer leads towards a root without a parent, whatever the table said.
//         2. `in_order` has parents before their children, and each family in one piece.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "check/findings.h"
#include "format/tables.h"

namespace brindle {

struct CheckedRoot {
  RootRecord record;
  Place place;                        // of its bucket
  CheckedRoot* parent = nullptr;
  std::vector<CheckedRoot*> children;
  std::map<u64, GoneRecord> gone;     // what it let go, by leaf

  /// It was made as a snapshot, so it holds only what is older than itself. (A deleted volume dies with all that it
  /// wrote; nothing ever hangs from it.)
  bool frozen() const {
    return record.kind == RootKind::snapshot || record.kind == RootKind::branch ||
           (record.kind == RootKind::dying && !children.empty());
  }
  bool hidden() const { return record.kind == RootKind::branch || record.kind == RootKind::dying; }
  u64 leaves() const { return u64{1} << (8 * record.height); }
  bool let_go_within(u64 first, u64 end) const {
    const auto at = gone.lower_bound(first);
    return at != gone.end() && at->first < end;
  }
};

struct CheckedEntry {
  EntryRecord record;
  Place place;
};

/// What all of it is measured by.
struct FamilyLimits {
  u64 number = 0;        // of the checkpoint
  SlotName position;     // the first name that it does not know
  u64 next_root = 0;
  u64 next_entry = 0;
  bool roots_known = true;    // false: some of that table could not be read
  bool entries_known = true;
};

class Family {
 public:
  explicit Family(Findings& findings) : findings_(findings) {}

  // --- False: the bucket makes no sense.
  bool load_roots(u64 key, const Place& place, Bytes bytes);
  bool load_entries(u64 key, const Place& place, Bytes bytes);
  bool load_gone(u64 key, const Place& place, Bytes bytes);
  void check(const FamilyLimits& limits);

  const std::vector<CheckedRoot*>& in_order() const { return in_order_; }
  const std::map<EntryId, CheckedEntry>& entries() const { return entries_; }
  CheckedRoot* find(RootId id) const;
  /// "db" or "db@monday".
  std::string full_name(const EntryRecord& entry) const;
  u64 root_count() const { return roots_.size(); }

 private:
  void check_root(CheckedRoot& root, const FamilyLimits& limits);
  void check_entry(const CheckedEntry& entry, const FamilyLimits& limits);
  void check_names();
  void tie(const FamilyLimits& limits);
  void put_in_order();
  void check_tree(const CheckedRoot& root);
  void wrong(const Place& place, std::string what) { findings_.pool("table", place.offset, place.length, std::move(what)); }

  Findings& findings_;
  std::unordered_map<RootId, std::unique_ptr<CheckedRoot>> roots_;
  std::map<EntryId, CheckedEntry> entries_;
  struct GoneBucket {
    RootId root;
    Place place;
    std::vector<GoneRecord> records;
  };
  std::vector<GoneBucket> gone_;
  std::vector<CheckedRoot*> in_order_;
};

}  // namespace brindle
