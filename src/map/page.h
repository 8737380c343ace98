// page.h: pages of a map in memory, and the links that name them.
//
// Holds:  1. A clean page says what its bytes on disk say, and never anything else; roots and nodes of all families may share it.
//         2. A dirty page has no place yet; a sealed one belongs to the checkpoint under way and changes no more.
//         3. A link names a page by pointer while it has no place, and by reference from then on. So clean pages can be
//            evicted at any time: nothing but the cache and those who use them just now point at them.
// Caller: the maps' home core; reference counts are not atomic.
#pragma once

#include <array>
#include <memory>
#include <utility>

#include "base/check.h"
#include "map/entries.h"

namespace brindle {

enum class PageState : u8 {
  dirty,  // changes in place while its head alone holds it; from a seal on it waits for its place (Maps::is_sealed)
  clean,
  dropped,  // was dirty, and nobody holds it any more; it is never written
};

struct Page {
  explicit Page(PageKind kind_in) : kind(kind_in) {}
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  u32 references = 0;
  PageKind kind;
  PageState state = PageState::dirty;
  bool let_go = false;   // freed while it was sealed: its place is freed when it gets one
  bool used = true;      // by the cache's clock
  u32 list_place = 0;    // among the dirty ones of its rank, or on the clock of the cache
  u64 birth = 0;
  PageRef place;         // once it has one

  /// What it takes in memory.
  u64 bytes() const;
};

void destroy(Page* page);

/// Counts references to a page.
template <class P>
class Ptr {
 public:
  Ptr() = default;
  explicit Ptr(P* page) : page_(page) {
    if (page_ != nullptr) ++page_->references;
  }
  Ptr(const Ptr& other) : Ptr(other.page_) {}
  Ptr(Ptr&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  Ptr& operator=(Ptr other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~Ptr() {
    if (page_ != nullptr && --page_->references == 0) destroy(page_);
  }
  P* get() const { return page_; }
  P* operator->() const { return page_; }
  P& operator*() const { return *page_; }
  explicit operator bool() const { return page_ != nullptr; }

 private:
  P* page_ = nullptr;
};
using PagePtr = Ptr<Page>;

/// Names a page, or none.
class Link {
 public:
  Link() = default;
  explicit Link(const PageRef& ref) : ref_(ref) {}
  explicit Link(Page* page) : page_(page) { settle(); }

  explicit operator bool() const { return page_ || ref_; }
  u64 birth() const { return page_ ? page_->birth : ref_.birth; }
  PageKind kind() const { return page_ ? page_->kind : ref_.kind; }
  /// The page where the link holds it itself: dirty, or sealed without a place.
  Page* held() {
    settle();
    return page_.get();
  }
  const Page* held() const { return page_ && !page_->place ? page_.get() : nullptr; }
  /// The reference; none while the page has no place.
  PageRef ref() const { return page_ ? page_->place : ref_; }

  /// The same for links that are equal, as long as a page without a place gets none.
  u64 identity() const {
    if (const Page* page = held()) return reinterpret_cast<std::uintptr_t>(page) | u64{1} << 63;
    return ref().name.raw;
  }

  friend bool operator==(const Link& a, const Link& b) {
    const Page* const x = a.held();
    const Page* const y = b.held();
    return x != nullptr || y != nullptr ? x == y : a.ref().name == b.ref().name;
  }

 private:
  /// Lets go of the pointer once the page has a place.
  void settle() {
    if (!page_ || !page_->place) return;
    ref_ = page_->place;
    page_ = PagePtr();
  }

  PagePtr page_;
  PageRef ref_;
};

/// What all 512 blocks of a piece of a volume are. A clean one is packed.
class Leaf final : public Page {
 public:
  Leaf() : Page(PageKind::leaf), entries_(Entries::holes()) {}
  /// Of a clean one.
  explicit Leaf(const LeafData& data);
  u32 count = 0;  // of blocks that it names
  // Who read it last: the patch over it, told by a part of its name; 0: somebody who has the leaf itself. And how often in a row.
  u32 reader = 0;
  u32 reads = 0;

  BlockAt at(u32 entry) const { return entries_.at(entry); }
  /// To be changed or written; of one that is not clean.
  LeafData& data() { return entries_.data(); }
  void copy_to(LeafData& to) const { entries_.copy_to(to); }
  /// It is clean, and changes no more.
  void pack() { entries_.pack(); }
  void fetch(u32 entry) const { entries_.fetch(entry); }
  bool is_folded() const { return entries_.is_folded(); }
  u64 bytes() const { return sizeof(Leaf) + entries_.bytes(); }

 private:
  Entries entries_;
};

/// A few entries over a page: nothing (a leaf with few blocks), a leaf, or, while `blind`, a patch that was not in memory
/// when this one was made; loading that one merges the two. (Over a damaged patch it stays: what this one covers lives,
/// the rest cannot be read.) A clean one through which its base was read for long may have taken in what the base says.
struct Patch : Page {
 private:
  Entries merged_;  // in front: a look at it touches as much memory as one at a leaf does

 public:
  Patch() : Page(PageKind::patch) {}
  bool blind = false;
  bool widens = false;  // becomes a leaf before the next seal if its base can be read: it counts as large as that
  Link base;
  PatchData data;  // data.base is filled in when it is written; the lists are empty where `merged` has it all

  bool covers(u32 entry) const { return data.covers(entry); }
  /// It tells what the entry is, without its base.
  bool says(u32 entry) const { return merged_ || covers(entry); }
  /// Of an entry that it says.
  BlockAt at(u32 entry) const {
    if (merged_) return merged_.at(entry);
    const u32 rank = data.rank(entry);
    return {data.names[rank], data.crcs[rank]};
  }
  /// Those that it covers.
  PatchData entries() const;
  bool is_merged() const { return static_cast<bool>(merged_); }
  /// Puts its entries where those of its base stand; of one that is not merged.
  void lay_over(LeafData& base_data) const;
  /// Takes in what the leaf below says, where it covers nothing itself.
  void merge(const Leaf& leaf);

  /// A name of none hides what the base has; over nothing it takes the entry away.
  void set(u32 entry, SlotName name, u32 crc);
  /// It stands over nothing and names nothing: the same as no page at all.
  bool empty() const { return !base && data.names.empty(); }
  /// The base turned out to be nothing: entries that hide go.
  void drop_hiding();
  /// Its base cannot be read: the entries that it does not cover stay unreadable, those that it covers live on.
  void abandon_base() { blind = false; }
  u64 bytes() const;
};

struct Node : Page {
  Node() : Page(PageKind::node) {}
  u8 level = 0;   // 0: its links name leaves
  u32 count = 0;  // of links
  std::array<Link, node_links> links;
};

inline Leaf& as_leaf(Page& page) {
  CHECK(page.kind == PageKind::leaf);
  return static_cast<Leaf&>(page);
}
inline Patch& as_patch(Page& page) {
  CHECK(page.kind == PageKind::patch);
  return static_cast<Patch&>(page);
}
inline Node& as_node(Page& page) {
  CHECK(page.kind == PageKind::node);
  return static_cast<Node&>(page);
}

/// What a leaf, or a patch that says it, names at an entry.
inline SlotName name_in(Page& page, u32 entry) {
  return page.kind == PageKind::leaf ? as_leaf(page).at(entry).name : as_patch(page).at(entry).name;
}

/// The bytes of a page all of whose links have places; from then on it names them by reference, so they can be evicted.
std::vector<std::byte> encode_page(Page& page);
/// A clean page from its bytes. `level`: of a node. Fails: corrupt.
Result<PagePtr> decode_page(const PageRef& ref, Bytes bytes);

}  // namespace brindle
