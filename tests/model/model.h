// model.h: what an engine must be like, in the plainest way: every volume an array of blocks, every block one object.
//
// Holds:  a write makes new objects, a snapshot or clone shares them. So the objects that are left are exactly the blocks
//         that the pool should hold, and those that only a set of names has are what deleting the set frees.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"

namespace brindle::model {

using Block = std::shared_ptr<const std::string>;  // 4096 bytes

/// Blocks by number; absent: a hole. A copy shares its pages with the original until either writes, so that a player can
/// keep what a volume held at every moment.
class Blocks {
 public:
  class Iterator {
   public:
    std::pair<u64, const Block&> operator*() const { return {page_->first * page_blocks + at_, (*page_->second)[at_]}; }
    Iterator& operator++() {
      ++at_;
      skip();
      return *this;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.page_ == b.page_ && a.at_ == b.at_; }

   private:
    friend class Blocks;
    using Page = std::map<u64, std::shared_ptr<const std::array<Block, 32>>>::const_iterator;
    Iterator(Page page, Page end) : page_(page), end_(end) { skip(); }
    void skip() {
      for (; page_ != end_; ++page_, at_ = 0) {
        while (at_ < page_blocks && (*page_->second)[at_] == nullptr) ++at_;
        if (at_ < page_blocks) return;
      }
    }
    Page page_, end_;
    u64 at_ = 0;
  };

  Iterator begin() const { return Iterator(pages_.begin(), pages_.end()); }
  Iterator end() const { return Iterator(pages_.end(), pages_.end()); }
  u64 size() const { return count_; }
  /// Null where there is a hole.
  Block find(u64 number) const;
  bool contains(u64 number) const { return find(number) != nullptr; }
  void set(u64 number, Block block);
  void erase(u64 first, u64 end);

 private:
  static constexpr u64 page_blocks = 32;
  using Page = std::array<Block, page_blocks>;
  std::map<u64, std::shared_ptr<const Page>> pages_;
  u64 count_ = 0;
};

struct Content {
  u64 size = 0;   // bytes
  Blocks blocks;

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
