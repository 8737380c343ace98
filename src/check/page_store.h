// page_store.h: pages of maps, read and parsed, a few thousand of them kept.
//
// Fails:  corrupt (in no segment, a wrong checksum, or nonsense), io, cancelled.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>
#include <variant>

#include "check/disk_reader.h"
#include "check/segment_map.h"
#include "format/page.h"

namespace brindle {

using CheckedPage = std::variant<LeafData, PatchData, NodeData>;
using CheckedPagePtr = std::shared_ptr<const CheckedPage>;

class PageStore {
 public:
  PageStore(DiskReader& disk, SegmentMap& segments) : disk_(disk), segments_(segments) {}
  Task<Result<CheckedPagePtr>> load(PageRef ref);

 private:
  struct Kept {
    PageRef ref;
    CheckedPagePtr page;
    std::list<u64>::iterator age;
  };
  DiskReader& disk_;
  SegmentMap& segments_;
  std::unordered_map<u64, Kept> kept_;  // by name
  std::list<u64> ages_;                 // the newest first
};

}  // namespace brindle
