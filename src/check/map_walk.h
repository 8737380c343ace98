// map_walk.h: the walk over all maps: every object that some root holds is met once, at the top of the part of the family
// tree that holds it.
//
// A root's map is walked beside that of its parent at each leaf. What both hold just the same is the parent's, and was
// met there; what only the root holds begins here. So an object that begins twice is held by two parts of the tree that
// are not connected, or at two places, which nothing allows.
//
//   holding   At a leaf a root holds its page, the page's base, and the blocks that these name, less what it let go
//             (`gone`). A dying root holds nothing in the leaves below its cursor; there its child's parent is the
//             next root up. A node is an object of the last leaf that it covers.
//   births    A root that was made as a snapshot holds only what is older than itself. What a root holds and its parent at that leaf
//             does not is not older than the parent (else the parent would hold it too).
//
// Holds:  1. `run` reports what is wrong with pages and blocks into `bad_pages` and `bad_blocks`, and missing marks into
//            the findings. `damage_of` then tells for each root where its map leads to something bad.
//         2. Each page is descended into once for each root at whose edge it lies, so bytes that name pages in circles
//            end too.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/aligned.h"
#include "check/family.h"
#include "check/page_store.h"
#include "check/ranges.h"

namespace brindle {

class MapWalk {
 public:
  struct Counts {
    u64 pages = 0;
    u64 blocks = 0;
  };
  struct Limits {
    u64 number = 0;      // of the checkpoint
    SlotName position;   // the first name that it does not know
    bool all_known = true;  // false: tables of roots, or of what they let go, could not be read
  };

  MapWalk(Runtime& runtime, DiskReader& disk, SegmentMap& segments, Findings& findings, const Family& family,
          Limits limits, bool read_data);

  Task<void> run();
  /// After `run`, where anything is bad: the ranges of blocks of this root that are.
  Task<void> mark();
  Task<Ranges> damage_of(CheckedRoot& root);

  bool any_bad() const { return !bad_pages_.empty() || !bad_blocks_.empty(); }
  /// Pages were unreadable, so not everything that roots hold was met.
  bool incomplete() const { return incomplete_; }
  std::unordered_map<u64, Bad>& bad_pages() { return bad_pages_; }
  std::unordered_map<u64, Bad>& bad_blocks() { return bad_blocks_; }
  const Counts& counts() const { return counts_; }

 private:
  /// An ancestor of the root that is being walked, and its link at the same place.
  struct Side {
    const CheckedRoot* root = nullptr;
    PageRef link;
    int level = -1;        // of the link: lower than the place while the ancestor's tree is lower
    bool unknown = false;  // a page above could not be read
  };
  using Sides = std::vector<Side>;  // the nearest first; each further one has a lower cursor
  struct Chain {
    std::vector<PageRef> refs;
    std::vector<CheckedPagePtr> pages;
    bool broken = false;  // the last reference could not be read
  };
  struct Entries {
    std::array<SlotName, leaf_blocks> names{};
    std::array<u32, leaf_blocks> crcs{};
    std::array<bool, leaf_blocks> known{};
  };
  struct DataRead {
    u64 offset = 0;
    SlotName name;
    u32 crc = 0;
  };

  static const Side* effective(const Sides& sides, u64 leaf);
  static Entries entries_of(const Chain& chain);
  Sides ancestors(const CheckedRoot& root) const;
  Task<void> walk_all();
  Task<bool> walk(const CheckedRoot& root, PageRef link, int level, u64 first, Sides above);
  Task<bool> walk_leaf(const CheckedRoot& root, PageRef link, u64 leaf, Side parent);
  Task<Chain> chain_of(PageRef link);
  Task<CheckedPagePtr> page_of(PageRef link);
  Task<void> collect(const CheckedRoot& root, PageRef link, int level, u64 first, Ranges& out);

  bool may_have_let_go(const CheckedRoot& root) const;
  bool begin_page(const CheckedRoot& root, const Side& parent, const PageRef& ref, bool uncertain);
  bool begin_block(const CheckedRoot& root, const Side& parent, SlotName name, u32 crc, bool uncertain);
  std::string_view birth_fault(const CheckedRoot& root, const Side& parent, bool too_young, bool older_than_parent) const;
  bool is_damaged(const PageRef& ref) const {
    return bad_pages_.contains(ref.name.raw) || damaged_below_.contains(ref.name.raw);
  }
  void bad_page(const PageRef& ref, std::string_view kind, std::string note, bool unreadable);
  void bad_block(SlotName name, std::string_view kind, std::string note);
  Task<void> read_data();
  Task<void> read_piece(std::span<const DataRead> blocks, MutBytes into);

  Runtime& runtime_;
  DiskReader& disk_;
  SegmentMap& segments_;
  Findings& findings_;
  const Family& family_;
  Limits limits_;
  bool read_data_;
  bool marking_ = false;  // the second walk: it judges nothing
  bool incomplete_ = false;
  PageStore pages_;
  Counts counts_;
  std::unordered_map<u64, Bad> bad_pages_;   // by name
  std::unordered_map<u64, Bad> bad_blocks_;
  std::unordered_set<u64> damaged_below_;    // names of pages
  std::vector<DataRead> to_read_;
  AlignedBuffer buffer_;
};

}  // namespace brindle
