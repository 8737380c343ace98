// state.h: what the pool holds at one moment: every volume and snapshot, and every block of theirs.
//
// Holds:  1. Two of them that hold the same block hold the same object, as in model.h; so what a set of them holds alone
//            can be counted.
//         2. A copy shares all that does not change. So each moment can be kept.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "format/command.h"
#include "model/model.h"
#include "volume/engine.h"

namespace brindle::sim {

struct Object {
  EntryId id = 0;
  RootId root = 0;
  EntryId volume = 0;  // of a snapshot
  std::string own;     // of a snapshot: the part behind the @
  model::Content content;
  Labels labels;
  bool is_protected = false;
  bool deleted = false;  // a volume of which only snapshots are left

  bool is_snapshot() const { return volume != 0; }
};

/// Everything at one moment. A copy shares all that does not change.
class State {
 public:
  using Objects = std::map<EntryId, std::shared_ptr<const Object>>;
  const Objects& objects() const { return objects_; }
  const Object* find(EntryId id) const;
  /// Not those that were deleted.
  const Object* named(const std::string& name) const;
  const Object* with_root(RootId root) const;
  bool taken(const std::string& volume) const;
  std::string name_of(const Object& object) const;
  std::vector<const Object*> snapshots_of(EntryId volume) const;
  void put(Object object);
  void remove(EntryId id);
  u64 live_blocks() const;
  /// Blocks that only members of the set hold.
  u64 freed_blocks(const std::set<EntryId>& ids) const;

 private:
  Objects objects_;
};

std::string head_of(const std::string& name);
bool names_snapshot(const std::string& name);

}  // namespace brindle::sim
