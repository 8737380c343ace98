// image.h: a pool's image taken apart and put together again with something wrong in it, every checksum right.
//
// Holds:  `save` writes all tables anew behind the old ones, and both superblocks; pages are changed where they stand.
// Caller: tests, on a disk that no engine has open.
#pragma once

#include <functional>
#include <map>
#include <variant>

#include "device/sim_device.h"
#include "format/page.h"
#include "format/superblock.h"
#include "format/segments.h"

namespace brindle::model {

struct RawBucket {
  TableId table;
  u64 key;
  std::vector<std::byte> bytes;
};

/// A page on its way through edit_pages. A change of `ref.birth` is followed in the page's header.
struct EditedPage {
  const RootRecord& root;
  int level;   // of a node; -1: a leaf or patch; -2: the base of a patch
  u64 first;   // leaf below it
  PageRef ref;
  std::variant<LeafData, PatchData, NodeData> page;
};

class Image {
 public:
  explicit Image(SimDisk& disk);

  std::vector<std::byte> read(u64 offset, u64 length) const;
  void write(u64 offset, Bytes bytes);
  void flip(u64 offset, u8 mask = 1);
  std::optional<u64> locate(SlotName name) const;
  /// Calls `edit` for every page of every root once, those below first; true: it changed the page.
  void edit_pages(const std::function<bool(EditedPage&)>& edit);
  /// Changes the bytes of the pages that `pick` picks, and the checksums that lead to them.
  void edit_page_bytes(const std::function<bool(const PageRef&, std::vector<std::byte>&)>& edit);
  void save(const std::function<void(std::vector<RawBucket>&)>& tamper = {});
  void save_superblocks();
  /// The name that a root's map has for a block; none where that is a hole.
  SlotName name_of(RootId root, u64 block) const;

  size_t directory_size() const { return directory_.size(); }
  /// Of a table: its buckets, and the bytes of all of them.
  u64 count(TableId table) const;
  u64 length(TableId table) const;
  /// Of the first bucket of a table.
  Place place_of(TableId table) const;
  RootRecord& root_of(const std::string& volume, const std::string& snapshot = {});
  EntryRecord& entry_of(const std::string& volume, const std::string& snapshot = {});

  Superblock super;
  CheckpointRoot root;
  std::map<u64, SegmentRecord> segments;
  std::map<RootId, RootRecord> roots;
  std::map<EntryId, EntryRecord> entries;
  std::map<std::pair<RootId, u64>, GoneRecord> gone;

 private:
  PageRef edit_tree(const RootRecord& of, PageRef ref, int level, u64 first,
                    const std::function<bool(EditedPage&)>& edit, std::map<u64, PageRef>& done);
  PageRef edit_bytes(PageRef ref, const std::function<bool(const PageRef&, std::vector<std::byte>&)>& edit,
                     std::map<u64, PageRef>& done);
  PageRef store(PageRef ref, Bytes bytes);

  SimDisk& disk_;
  std::vector<DirectoryEntry> directory_;
};

}  // namespace brindle::model
