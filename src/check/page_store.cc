#include "check/page_store.h"

#include <fmt/format.h>

namespace brindle {

namespace {

constexpr size_t pages_max = 4096;  // at most 8 KiB each

Result<CheckedPagePtr> parse(const PageRef& ref, Bytes bytes) {
  if (ref.kind == PageKind::leaf) {
    auto leaf = decode_leaf(bytes, ref.birth);
    if (!leaf) return leaf.error();
    return CheckedPagePtr(std::make_shared<CheckedPage>(std::move(*leaf)));
  }
  if (ref.kind == PageKind::patch) {
    auto patch = decode_patch(bytes, ref.birth);
    if (!patch) return patch.error();
    return CheckedPagePtr(std::make_shared<CheckedPage>(std::move(*patch)));
  }
  auto node = decode_node(bytes, ref.birth);
  if (!node) return node.error();
  return CheckedPagePtr(std::make_shared<CheckedPage>(std::move(*node)));
}

}  // namespace

Task<Result<CheckedPagePtr>> PageStore::load(PageRef ref) {
  if (const auto at = kept_.find(ref.name.raw); at != kept_.end() && at->second.ref == ref) {
    ages_.splice(ages_.begin(), ages_, at->second.age);
    co_return at->second.page;
  }
  u64 run = 0;
  const auto offset = segments_.locate(ref.name, SegmentKind::pages, &run);
  if (!offset || run < ref.slots()) co_return Error{Code::corrupt, "a page of a map is in no segment"};
  const Place place{*offset, ref.length, ref.crc};
  auto bytes = co_await disk_.read(place, "page");
  if (!bytes) {
    if (bytes.code() != Code::corrupt) co_return bytes.error();
    co_return Error{Code::corrupt, fmt::format("a page of a map: {}", bytes.error().message)};
  }
  auto page = parse(ref, *bytes);
  if (!page) co_return page.error();
  if (!kept_.contains(ref.name.raw)) {
    ages_.push_front(ref.name.raw);
    kept_[ref.name.raw] = {ref, *page, ages_.begin()};
    if (ages_.size() > pages_max) {
      kept_.erase(ages_.back());
      ages_.pop_back();
    }
  }
  co_return *page;
}

}  // namespace brindle
