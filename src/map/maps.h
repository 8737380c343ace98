// maps.h: all maps of a pool: reading and changing them, the family tree, and what is let go.
//
// The rule (see docs/decisions on reclaim): when a root lets go of an object that none of its children holds, the object
// is the parent's if it is older than the parent; otherwise it is free.
//
// Holds:  1. Functions that are not tasks finish at once or tell which page they miss, having changed nothing.
//         2. A head changes a page in place only if the page was born at or after the head's last snapshot, clone or
//            rollback and after the last seal; otherwise it makes a new page: a patch over a leaf, a copy of a node.
//         3. A write never needs a leaf: what it overwrites in one that is not in memory is a debt, settled when the leaf
//            is next loaded, at the latest before the next seal. One whose leaf the device does not read stalls: it goes into
//            the checkpoint's table of debts, and is tried again until it can be settled or the leaf turns out to be damaged.
//         4. A page with debts keeps its place until they are settled.
// Caller: the pool's home core. Changes come from the log's applier, in number order, and from the reclaimer.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <unordered_set>

#include "map/cache.h"
#include "map/root.h"

namespace brindle {

/// The page that must be in memory first; empty: nothing is missing.
using Missing = std::optional<PageRef>;

class Maps {
 public:
  /// `reads_before_merge`: so many reads in a row find a leaf through the same patch before that takes it in.
  Maps(Pool& pool, u64 cache_bytes, u32 reads_before_merge);
  ~Maps();

  // --- roots, as the records of a batch say (all of a batch before its data)
  Root* find(RootId id);
  Root& create(RootId id, u64 number, SlotName position, u64 size, EntryId entry);
  /// The snapshot takes the head's place, and the head goes under it. No page is touched.
  Root& snapshot(RootId id, u64 number, SlotName position, Root& head, EntryId entry);
  /// The same for a clone of a live volume: nobody sees the snapshot, and it stays only while several hang from it.
  Root& snapshot_hidden(RootId id, u64 number, SlotName position, Root& head);
  Root& clone(RootId id, u64 number, SlotName position, Root& source, EntryId entry);
  /// Nobody sees the root any more: with two or more children it stays as a branch point, else it begins to die.
  void remove(Root& root);
  /// The head continues `snapshot`; what it held stays in its place in the tree as `saved`.
  Root& roll_back(RootId saved, u64 number, SlotName position, Root& head, Root& snapshot, EntryId saved_entry);
  /// Makes room for leaves up to `size`; shrinking goes through cut.
  Missing grow(Root& head, u64 size, u64 number);
  /// Takes the leaves [first, end) off the head: where there is any, a hidden snapshot holds them, and dies at once.
  Missing cut(RootId hidden, u64 number, SlotName position, Root& head, u64 first, u64 end);
  void sized(Root& root, u64 size) {
    root.size = size;
    dirty(root);
  }

  // --- blocks
  /// Fetches into the processor's cache what these writes will touch of pages in memory.
  void fetch(std::span<const DataRecord> writes);
  /// Which pages a write to these blocks needs. Empty: none, it can be applied.
  Missing write_needs(const Root& head, u64 first_block, u64 count);
  /// Names the blocks of one data record; a name of none discards. All that it needs is in memory.
  void write(Root& head, u64 number, u64 first_block, u64 count, SlotName first_name, const u32* crcs);
  /// Looks up `at.size()` blocks.
  Missing lookup(const Root& root, u64 first_block, std::span<BlockAt> at);
  /// The first leaf at or after `leaf` that is not all hole; the root's `leaves()` when there is none.
  Missing next_leaf(const Root& root, u64 leaf, u64& out);
  Task<Status> load(PageRef page);
  /// The same for one who needs several pages at once: where the cache is too small for everybody, others would push out the one while the
  /// next is read, without end.
  Task<Status> load(PageRef page, std::vector<PagePtr>& held);

  // --- the background
  /// One small step of deletion or of a branch point's rescan. False: there is nothing to do.
  Task<bool> reclaim_step();
  bool reclaiming() const { return !work_.empty() || !cuts_.empty(); }
  /// Hidden roots of cuts that wait for it.
  u64 cuts() const { return cuts_.size(); }
  /// Ends with all debts settled or stalled, but for those of up to `left` pages of which none failed to be read. A read that fails is tried
  /// again first, for less than a second.
  Task<void> settle_debts(u64 left = 0);
  bool has_debts() const { return !pending_.empty(); }
  /// What waits for a device that does not read: debts, and deletions.
  bool stalled() const { return !stalled_debts_.empty() || !stalled_roots_.empty(); }
  u64 stalled_pages() const { return stalled_debts_.size(); }
  u64 stalled_deletions() const { return stalled_roots_.size(); }
  /// Tries once again, without rest: all of it, or up to the first that the device still does not read.
  Task<void> retry_stalled(bool to_the_end);
  /// Somebody waits for the end: no rests any more.
  void hurry() { hurry_ = true; }
  /// Blocks that stay allocated since the page that named them is damaged (at most so many, since the start).
  u64 lost_blocks() const { return lost_blocks_; }

  // --- checkpoints
  void seal(u64 number);
  Task<Status> write_pages(PageSink& to);
  std::vector<Bucket> sealed_buckets();
  Status load_roots(Bytes bytes);
  Status load_gone(u64 key, Bytes bytes);
  Status load_debts(u64 key, Bytes bytes);
  /// All buckets are loaded: tie the tree together.
  Status loaded();
  u64 dirty_bytes() const { return dirty_bytes_ + sealed_bytes_; }
  CheckpointWork work() const { return {dirty_bytes(), sealed_bytes_, settled_, pending_.size()}; }
  bool dirty() const {
    const auto any = [](const auto& pages) { return !pages.empty(); };
    return std::any_of(dirty_.begin(), dirty_.end(), any) || !dirty_roots_.empty() || !dirty_gone_.empty() ||
           !pending_.empty() || !dirty_debts_.empty();
  }

  PageCache& cache() { return cache_; }
  Pool& pool() { return pool_; }
  const std::unordered_map<RootId, std::unique_ptr<Root>>& roots() const { return roots_; }
  /// The page, or which one is missing.
  Page* need(const Link& link, Missing& missing);

 private:
  /// What a root holds at a leaf.
  struct Held {
    Link link;                // the page; none: nothing
    std::vector<Link> bases;  // where the page is a patch: one, and more where that one could not be read once
    PagePtr page;
    std::vector<PagePtr> under;  // the bases in memory
    const Gone* gone = nullptr;  // of a branch point: what of all this it let go
  };
  /// A patch in a head's map, as long as it is the one at that leaf.
  struct Over {
    PagePtr patch;
    RootId head;
    u64 leaf;
  };
  struct Pending {
    PageRef page;
    std::vector<Debt> debts;
    std::vector<Over> blind;  // patches over this patch
    std::vector<Over> wide;   // patches over this leaf that are to become leaves themselves
    bool let_go = false;      // nobody holds the page any more: its place is freed when this is settled
    u32 tries = 0;            // that the device failed
    u64 due_ns = 0;           // of the next one
    bool reading = false;     // somebody settles it
  };
  struct SealedBucket {
    u64 key;
    std::vector<std::byte> bytes;
    std::vector<std::pair<size_t, Link>> maps;
  };

  // A branch point may have thousands of children, whose pages a step needs all together: so many it asks for before it begins again.
  static constexpr size_t wanted_max = 64;
  // A page is written behind all that it may name: leaves, patches, then nodes from the lowest level on.
  static constexpr size_t page_ranks = 2 + map_height_max;
  static size_t rank_of(const Page& page);

  // maps.cc
  void dirty(const Root& root) { dirty_roots_.insert(root.id / roots_a_bucket); }
  void add_dirty(Page& page);
  void drop(Page& page);
  void replace(Root& root, Root& by);
  void enqueue(Root& root);
  void grew(Page& page, u64 before);
  /// The link to the node at `level` over a leaf, or with level -1 to its page; none where nothing is there, or a node above it is missing.
  const Link* find_link(const Root& root, int level, u64 leaf, Missing& missing);
  /// Of a leaf or patch and what is below it, the page that says what an entry is; none: nothing does, it is a hole.
  Missing page_with(Page& page, u32 entry, Page*& out);
  /// What that page says.
  Missing entry_of(Page& page, u32 entry, BlockAt& out, Page*& from);
  void count_read(Page& page, Leaf& leaf);
  // fetch.cc
  const Page* glance(const Link& link) const;
  const Page* glance(const Root& root, u64 leaf) const;
  // write.cc
  /// Of one without a place: it belongs to the checkpoint under way.
  bool is_sealed(const Page& page) const { return page.birth < sealed_number_; }
  bool in_place(const Root& head, const Link& link) const;
  Link* own_path(Root& head, u64 leaf, u64 number);
  void prune(Root& head, u64 leaf);
  void write_leaf(Root& head, u64 leaf, u64 number, u32 first, u32 count, SlotName name, const u32* crcs);
  void settle_size(Root& head, Link& at, u64 leaf, u64 number, Root* parent);
  void want_base(Root& head, Patch& patch, u64 leaf);
  void settle_size_of(const Over& over);
  void let_go(SlotName block, Root* parent, u64 leaf);
  void let_go(const Link& link, Root* parent, std::optional<u64> leaf);
  void forget(Page& page, Root* parent, u64 leaf, u32 first, u32 count);
  const Page* resident(const Link& link);
  Missing cut_node(Root& head, Link& link, int level, u64 base, u64 first, u64 end, u64 number, bool check);
  // debts.cc
  Pending& pending_of(const PageRef& page);
  void owe(const PageRef& page, u32 entry, Root* parent, u64 leaf);
  void owe_base(const PageRef& page, Root* parent, u64 leaf);
  void free_page(const PageRef& page);
  void on_loaded(Page& page);
  void settle(Page& page, const Pending& pending);
  Task<void> settle_one(PageRef page);
  std::vector<PageRef> next_to_settle(u64 now_ns, u64& next_ns);
  void give_up(Pending pending, bool may_pass);
  // reclaim.cc
  Task<void> load_wanted();
  bool want(const PageRef& page);
  Missing hold(const Link& link, Held& held);
  Missing step_dying(Root& root);
  Missing step_branch(Root& root);
  Missing visit(Root& root, u64 leaf, const Link& link);
  bool child_has(Root& root, int level, u64 leaf, const Link& link, bool whole, Missing& missing);
  void mark_rescan(Root& branch, u64 first, u64 end);
  u64 end_below(Root& root, u64 leaf, const PageRef& page);
  void rescanned(Root& root, u64 end);
  void pass_over(Root& root, const PageRef& page);
  void leave(Root& root);

  Pool& pool_;
  PageCache cache_;
  u32 reads_before_merge_;
  std::unordered_map<RootId, std::unique_ptr<Root>> roots_;
  std::unordered_map<RootId, RootId> parents_to_tie_;
  std::unordered_map<RootId, std::vector<GoneRecord>> gone_to_tie_;
  u64 sealed_number_ = 0;
  std::array<std::vector<PagePtr>, page_ranks> dirty_;
  std::array<std::vector<PagePtr>, page_ranks> sealed_;
  std::deque<PagePtr> placed_;  // of these, what has a place and is not on the device yet: held, so that nobody reads it there
  u64 dirty_bytes_ = 0;
  u64 sealed_bytes_ = 0;
  std::unordered_map<u64, Pending> pending_;  // by the name of the page that is not in memory
  std::unordered_map<u64, Pending> stalled_debts_;  // no seal waits for these any more
  u64 settling_ = 0;  // so many pages are being read for it
  u64 settled_ = 0;   // so many were, since the start
  Signal settle_;     // one more was
  std::vector<RootId> stalled_roots_;               // a page that the reclaimer needs could not be read
  bool hurry_ = false;
  u64 lost_blocks_ = 0;
  std::unordered_set<u64> passed_over_;  // names of damaged pages that the reclaimer counted there
  std::set<u64> dirty_roots_;                 // bucket keys
  std::set<u64> dirty_gone_;
  std::set<u64> dirty_debts_;  // names of pages whose stalled debts changed
  std::vector<SealedBucket> sealed_roots_;
  std::vector<Bucket> sealed_others_;         // of the tables of what was let go and of debts
  std::deque<RootId> work_;                   // roots that the reclaimer has to visit
  // And those of cuts, which go first, the newest before all others: what it holds, the one of the cut before holds too, so that it is gone in
  // no time, and the oldest does the work for all. Each stands between a head and its family, and a write looks past all of them.
  std::vector<RootId> cuts_;
  // What the step under way had to load. It begins again behind each load, and looks into every child of a branch point:
  // where the cache is too small for all of them at once, it would evict the one to load the other, and never end.
  std::vector<PagePtr> step_pages_;
  std::vector<PageRef> wanted_;  // pages of children that the step misses
};

}  // namespace brindle
