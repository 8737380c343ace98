#include "map/cache.h"

#include <algorithm>

namespace brindle {

namespace {
constexpr u64 evict_steps_max = 128;
}

Task<Result<PagePtr>> PageCache::load(PageRef ref) {
  if (Page* page = find(ref)) co_return PagePtr(page);
  if (const auto at = loading_.find(ref.name.raw); at != loading_.end()) {
    const std::shared_ptr<Loading> loading = at->second;
    while (!loading->result) co_await loading->done.wait();
    co_return *loading->result;
  }
  const auto loading = std::make_shared<Loading>(pool_.runtime());
  loading_[ref.name.raw] = loading;
  {
    const auto read = co_await pool_.read_page(ref);
    loading->result = read ? decode_page(ref, read->bytes()) : Result<PagePtr>(read.error());
  }
  if (loading->result->ok()) {
    add(**loading->result);
    loaded_(***loading->result);
  }
  loading_.erase(ref.name.raw);
  loading->done.notify_all();
  co_return *loading->result;
}

void PageCache::add(PagePtr page) {
  const u64 name = page->place.name.raw;
  const auto [at, fresh] = pages_.try_emplace(name, page);
  if (!fresh) return;
  bytes_ += cost(*page);
  page->used = true;
  if (free_places_.empty()) {
    free_places_.push_back(clock_.size());
    clock_.push_back(nullptr);
  }
  page->list_place = static_cast<u32>(free_places_.back());
  clock_[free_places_.back()] = page.get();
  free_places_.pop_back();
  evict();
}

/// The page is gone afterwards.
void PageCache::remove(Page& page) {
  bytes_ -= cost(page);
  clock_[page.list_place] = nullptr;
  free_places_.push_back(page.list_place);
  pages_.erase(page.place.name.raw);
}

void PageCache::merge(Patch& patch, Leaf& leaf) {
  bytes_ -= cost(patch);
  patch.merge(leaf);
  bytes_ += cost(patch);
  remove(leaf);
}

void PageCache::evict() {
  // The first round may only clear the marks, and pages in use stay: where little can be had, do not look at all of it.
  for (u64 steps = std::min<u64>(evict_steps_max, 2 * clock_.size()); bytes_ > bytes_max_ && steps > 0; --steps) {
    if (hand_ == clock_.size()) hand_ = 0;
    Page* const page = clock_[hand_++];
    if (page == nullptr) continue;
    if (page->used || page->references > 1) {
      page->used = false;
      continue;
    }
    remove(*page);
  }
}

}  // namespace brindle
