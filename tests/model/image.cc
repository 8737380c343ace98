#include "model/image.h"

#include <algorithm>
#include <cstring>

#include "base/bitmap.h"
#include "base/check.h"
#include "base/crc32c.h"

namespace brindle::model {

namespace {

std::variant<LeafData, PatchData, NodeData> parse(const PageRef& ref, Bytes bytes) {
  if (ref.kind == PageKind::leaf) return std::move(decode_leaf(bytes, ref.birth)).value();
  if (ref.kind == PageKind::patch) return std::move(decode_patch(bytes, ref.birth)).value();
  return std::move(decode_node(bytes, ref.birth)).value();
}

std::vector<std::byte> encode(u64 birth, const std::variant<LeafData, PatchData, NodeData>& page) {
  if (const auto* leaf = std::get_if<LeafData>(&page)) return encode_leaf(birth, *leaf);
  if (const auto* patch = std::get_if<PatchData>(&page)) return encode_patch(birth, *patch);
  return encode_node(birth, std::get<NodeData>(page));
}

}  // namespace

Image::Image(SimDisk& disk) : disk_(disk) {
  super = std::move(parse_superblock(read(0, block_size))).value();
  const auto other = parse_superblock(read(superblock_b_offset, block_size));
  if (other && other->generation > super.generation) super = *other;
  root = std::move(decode_checkpoint_root(read(super.root_offset, super.root_length))).value();
  for (const Place& place : root.directory) {
    const auto bytes = read(place.offset, place.length);
    Reader from(bytes);
    while (from.left() > 0) directory_.push_back(decode_directory_entry(from));
  }
  SegmentTable table(super.chunk_size);
  for (const DirectoryEntry& entry : directory_) {
    const auto bytes = read(entry.place.offset, entry.place.length);
    // The directory has the changes last, in their order.
    if (entry.table == TableId::segments) CHECK(table.load(entry.key, entry.place, bytes).ok());
    if (entry.table == TableId::changes) CHECK(table.apply(entry.place, bytes).ok());
    if (entry.table == TableId::segments || entry.table == TableId::changes) continue;
    Reader from(bytes);
    while (from.left() > 0) {
      if (entry.table == TableId::roots) {
        const RootRecord record = decode_root(from);
        roots[record.id] = record;
      } else if (entry.table == TableId::entries) {
        const EntryRecord record = decode_entry(from);
        entries[record.id] = record;
      } else {
        const GoneRecord record = decode_gone(from);
        gone[{entry.key >> gone_root_shift, record.leaf}] = record;
      }
      CHECK(from.ok());
    }
  }
  CHECK(table.complete().ok());
  for (auto& [number, entry] : table.entries()) segments[number] = std::move(entry.record);
}

// --- bytes ----------------------------------------------------------------------------------------------------------

std::vector<std::byte> Image::read(u64 offset, u64 length) const {
  std::vector<std::byte> bytes(length);
  for (u64 done = 0; done < length;) {
    const u64 at = offset + done;
    const u64 part = std::min(length - done, block_size - at % block_size);
    const auto block = disk_.blocks.find(at / block_size);
    if (block != disk_.blocks.end() && !block->second.empty()) {
      std::memcpy(bytes.data() + done, block->second.data() + at % block_size, part);
    }
    done += part;
  }
  return bytes;
}

void Image::write(u64 offset, Bytes bytes) {
  for (u64 done = 0; done < bytes.size();) {
    const u64 at = offset + done;
    const u64 part = std::min(bytes.size() - done, block_size - at % block_size);
    auto& block = disk_.blocks[at / block_size];
    block.resize(block_size);
    std::memcpy(block.data() + at % block_size, bytes.data() + done, part);
    done += part;
  }
}

void Image::flip(u64 offset, u8 mask) {
  auto byte = read(offset, 1);
  byte[0] ^= static_cast<std::byte>(mask);
  write(offset, byte);
}

std::optional<u64> Image::locate(SlotName name) const {
  const auto at = segments.find(name.segment());
  if (at == segments.end()) return std::nullopt;
  const SegmentRecord& record = at->second;
  if (!record.packed) return record.pieces.front().offset + name.slot() * slot_size(record.kind);
  if (!record.present.has(name.slot())) return std::nullopt;
  size_t piece = record.pieces.size() - 1;
  while (piece > 0 && record.pieces[piece].first_slot > name.slot()) --piece;
  const u64 rank = record.present.count(record.pieces[piece].first_slot, name.slot());
  return record.pieces[piece].offset + rank * slot_size(record.kind);
}

// --- pages ----------------------------------------------------------------------------------------------------------

PageRef Image::store(PageRef ref, Bytes bytes) {
  CHECK(div_up(bytes.size(), page_slot_size) <= ref.slots());
  const auto at = locate(ref.name);
  CHECK(at.has_value());
  write(*at, bytes);
  ref.length = static_cast<u32>(bytes.size());
  ref.crc = crc32c(bytes);
  return ref;
}

PageRef Image::edit_tree(const RootRecord& of, PageRef ref, int level, u64 first,
                         const std::function<bool(EditedPage&)>& edit, std::map<u64, PageRef>& done) {
  if (!ref) return ref;
  const u64 name = ref.name.raw;
  if (const auto at = done.find(name); at != done.end()) return at->second;
  done[name] = ref;
  EditedPage page{of, level, first, ref, parse(ref, read(*locate(ref.name), ref.length))};
  bool changed = false;
  if (auto* node = std::get_if<NodeData>(&page.page)) {
    for (u64 slot = 0; slot < node_links; ++slot) {
      const u64 span = u64{1} << (8 * level);
      if (first + (slot + 1) * span <= of.cursor) continue;
      const PageRef child = edit_tree(of, (*node)[slot], level - 1, first + slot * span, edit, done);
      changed = changed || !(child == (*node)[slot]);
      (*node)[slot] = child;
    }
  } else if (auto* patch = std::get_if<PatchData>(&page.page)) {
    const PageRef base = edit_tree(of, patch->base, -2, first, edit, done);
    changed = !(base == patch->base);
    patch->base = base;
  }
  const bool edited = edit(page);
  if (edited || changed) done[name] = store(page.ref, encode(page.ref.birth, page.page));
  return done[name];
}

void Image::edit_pages(const std::function<bool(EditedPage&)>& edit) {
  std::map<u64, PageRef> done;
  for (auto& [id, record] : roots) {
    const RootRecord before = record;
    record.map = edit_tree(before, record.map, record.height - 1, 0, edit, done);
  }
}

PageRef Image::edit_bytes(PageRef ref, const std::function<bool(const PageRef&, std::vector<std::byte>&)>& edit,
                          std::map<u64, PageRef>& done) {
  if (!ref) return ref;
  const u64 name = ref.name.raw;
  if (const auto at = done.find(name); at != done.end()) return at->second;
  done[name] = ref;
  const auto place = locate(ref.name);
  if (!place) return ref;  // behind the cursor of a dying root
  std::vector<std::byte> bytes = read(*place, ref.length);
  if (crc32c(bytes) != ref.crc) return ref;
  auto page = parse(ref, bytes);
  bool changed = false;
  if (auto* node = std::get_if<NodeData>(&page)) {
    for (PageRef& link : *node) {
      const PageRef child = edit_bytes(link, edit, done);
      changed = changed || !(child == link);
      link = child;
    }
  } else if (auto* patch = std::get_if<PatchData>(&page)) {
    const PageRef base = edit_bytes(patch->base, edit, done);
    changed = !(base == patch->base);
    patch->base = base;
  }
  if (changed) bytes = encode(ref.birth, page);
  const bool edited = edit(ref, bytes);
  if (edited || changed) done[name] = store(ref, bytes);
  return done[name];
}

void Image::edit_page_bytes(const std::function<bool(const PageRef&, std::vector<std::byte>&)>& edit) {
  std::map<u64, PageRef> done;
  for (auto& [id, record] : roots) record.map = edit_bytes(record.map, edit, done);
}

SlotName Image::name_of(RootId id, u64 block) const {
  const RootRecord& record = roots.at(id);
  PageRef ref = record.map;
  for (int level = record.height - 1; level >= 0 && ref; --level) {
    const auto node = parse(ref, read(*locate(ref.name), ref.length));
    ref = std::get<NodeData>(node)[block / leaf_blocks >> (8 * level) & 0xff];
  }
  const u32 entry = static_cast<u32>(block % leaf_blocks);
  while (ref) {
    const auto page = parse(ref, read(*locate(ref.name), ref.length));
    if (const auto* leaf = std::get_if<LeafData>(&page)) return leaf->names[entry];
    const auto& patch = std::get<PatchData>(page);
    if (patch.covers(entry)) return patch.names[patch.rank(entry)];
    ref = patch.base;
  }
  return {};
}

// --- tables ---------------------------------------------------------------------------------------------------------

void Image::save(const std::function<void(std::vector<RawBucket>&)>& tamper) {
  std::map<std::pair<TableId, u64>, Writer> tables;
  for (const auto& [number, record] : segments) {
    encode_segment(tables[{TableId::segments, number / segments_a_bucket}], record);
  }
  for (const auto& [id, record] : roots) encode_root(tables[{TableId::roots, id / roots_a_bucket}], record);
  for (const auto& [id, record] : entries) encode_entry(tables[{TableId::entries, id / entries_a_bucket}], record);
  for (const auto& [key, record] : gone) {
    encode_gone(tables[{TableId::gone, key.first << gone_root_shift | key.second / gone_leaves_a_bucket}], record);
  }
  super.features.incompatible &= ~feature_changes;
  std::vector<RawBucket> buckets;
  for (auto& [key, bytes] : tables) buckets.push_back({key.first, key.second, bytes.take()});
  if (tamper) tamper(buckets);

  // Behind everything in the chunk of the old root.
  const u64 chunk = super.root_offset / super.chunk_size;
  u64 at = super.root_offset + super.root_length;
  for (const DirectoryEntry& entry : directory_) {
    if (entry.place.offset / super.chunk_size == chunk) at = std::max(at, entry.place.offset + entry.place.length);
  }
  at = round_up(at, block_size);
  const auto put = [&](Bytes bytes) {
    at = round_up(at, 8);
    CHECK(at + bytes.size() <= (chunk + 1) * super.chunk_size);
    write(at, bytes);
    const Place place{at, static_cast<u32>(bytes.size()), crc32c(bytes)};
    at += bytes.size();
    return place;
  };
  directory_.clear();
  Writer listing;
  for (const RawBucket& bucket : buckets) {
    directory_.push_back({bucket.table, bucket.key, put(bucket.bytes)});
    encode_directory_entry(listing, directory_.back());
  }
  root.directory.assign(1, put(listing.bytes()));
  const Place place = put(encode_checkpoint_root(root));
  super.root_offset = place.offset;
  super.root_length = place.length;
  super.root_crc = place.crc;
  save_superblocks();
}

void Image::save_superblocks() {
  ++super.generation;
  seal_superblock(super);
  const Bytes bytes = std::as_bytes(std::span(&super, 1));
  write(0, bytes);
  write(superblock_b_offset, bytes);
}

EntryRecord& Image::entry_of(const std::string& volume, const std::string& snapshot) {
  for (auto& [id, record] : entries) {
    if (record.is_snapshot || record.name != volume) continue;
    if (snapshot.empty()) return record;
    for (auto& [other, own] : entries) {
      if (own.is_snapshot && own.volume == id && own.name == snapshot) return own;
    }
  }
  CHECK_NOTE(false, "no such entry");
}

u64 Image::count(TableId table) const {
  return static_cast<u64>(
      std::count_if(directory_.begin(), directory_.end(), [table](const auto& entry) { return entry.table == table; }));
}

u64 Image::length(TableId table) const {
  u64 sum = 0;
  for (const DirectoryEntry& entry : directory_) sum += entry.table == table ? entry.place.length : 0;
  return sum;
}

Place Image::place_of(TableId table) const {
  const auto at = std::find_if(directory_.begin(), directory_.end(),
                               [&](const DirectoryEntry& entry) { return entry.table == table; });
  CHECK(at != directory_.end());
  return at->place;
}

RootRecord& Image::root_of(const std::string& volume, const std::string& snapshot) {
  return roots.at(entry_of(volume, snapshot).root);
}

}  // namespace brindle::model
