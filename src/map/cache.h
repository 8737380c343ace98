// cache.h: clean pages in memory, up to a bound, found by name.
//
// Holds:  little more than `bytes_max` of pages that nobody uses just now; a page is evicted when the clock passes it
//         unused. An addition moves the clock by a bounded number of steps.
// Fails:  load: corrupt, io.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "map/page.h"
#include "pool/pool.h"

namespace brindle {

class PageCache {
 public:
  /// Called with each page that comes in from disk, before anybody else sees it.
  using Loaded = std::function<void(Page&)>;

  PageCache(Pool& pool, u64 bytes_max, Loaded loaded)
      : pool_(pool), bytes_max_(bytes_max), loaded_(std::move(loaded)) {}

  /// The page, if it is in memory. Valid until the next co_await; hold a PagePtr for longer.
  Page* find(const PageRef& ref) {
    const auto at = pages_.find(ref.name.raw);
    if (at == pages_.end()) {
      ++misses_;
      return nullptr;
    }
    ++hits_;
    at->second->used = true;
    return at->second.get();
  }
  /// The same for one who does not use it yet.
  const Page* peek(const PageRef& ref) const {
    const auto at = pages_.find(ref.name.raw);
    return at == pages_.end() ? nullptr : at->second.get();
  }
  /// Reads the page in, unless it is there; concurrent calls share one read.
  Task<Result<PagePtr>> load(PageRef ref);
  /// A page that just got its place.
  void add(PagePtr page);
  /// Both are here, and nobody holds the leaf: the patch takes in what it says, and the leaf goes.
  void merge(Patch& patch, Leaf& leaf);
  void evict();
  void set_bytes_max(u64 bytes) { bytes_max_ = bytes; }
  u64 bytes() const { return bytes_; }
  u64 hits() const { return hits_; }
  u64 misses() const { return misses_; }

 private:
  struct Loading {
    explicit Loading(Runtime& runtime) : done(runtime) {}
    Signal done;
    u64 users = 1;
    std::optional<Result<PagePtr>> result;
  };

  void remove(Page& page);
  static u64 cost(const Page& page) { return page.bytes() + entry_bytes; }
  // What the table, the clock and the allocator take beside the page itself.
  static constexpr u64 entry_bytes = 64;

  Pool& pool_;
  u64 bytes_max_;
  Loaded loaded_;
  boost::unordered_flat_map<u64, PagePtr> pages_;  // each block that is read looks into it, several times
  std::unordered_map<u64, std::shared_ptr<Loading>> loading_;
  std::vector<Page*> clock_;  // the same pages; none where one was evicted
  std::vector<size_t> free_places_;  // of the clock
  size_t hand_ = 0;
  u64 bytes_ = 0;
  u64 hits_ = 0, misses_ = 0;
};

}  // namespace brindle
