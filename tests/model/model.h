// model.h: what an engine must be like, in the plainest way: every volume an array of blocks, every block one object.
//
// Holds:  a write makes new objects, a snapshot or clone shares them. So the objects that are left are exactly the blocks
//         that the pool should hold, and those that only a set of names has are what deleting the set frees.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"

namespace brindle::model {

using Block = std::shared_ptr<const std::string>;  // 4096 bytes

struct Content {
  u64 size = 0;                  // bytes
  std::map<u64, Block> blocks;   // by number; absent: a hole

  std::string read(u64 offset, u64 length) const;
  void write(u64 offset, const std::string& bytes);
  /// Zeroes; with `edges` also the parts of blocks at the ends, which then hold data.
  void zero(u64 offset, u64 length, bool edges);
  void resize(u64 to);
  bool same_bytes(const Content& other) const;
};

struct State {
  std::map<std::string, Content> volumes;
  std::map<std::string, Content> snapshots;  // "db@monday"
  std::map<std::string, u64> saved_count;    // of a volume

  const Content* find(const std::string& name) const;
  /// A volume's name is taken while the volume or a snapshot of it is there.
  bool taken(const std::string& volume) const;
  std::vector<std::string> snapshots_of(const std::string& volume) const;
  void remove(const std::string& name);

  u64 live_blocks() const;
  u64 freed_blocks(const std::set<std::string>& names) const;
  bool same_bytes(const State& other) const;
};

}  // namespace brindle::model
