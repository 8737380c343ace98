// What is read as the label of one device of several is written back as the same label, and joins only with its own kind.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/crc32c.h"
#include "format/members.h"
#include "format/superblock.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  const Bytes input = input_bytes(data, size);
  static_cast<void>(parse_label(input).ok());
  // Labels of a block each, whose checksums are right.
  std::vector<FoundMember> found;
  for (size_t at = 0; at < input.size() && found.size() < 5; at += label_bytes) {
    std::vector<std::byte> block(label_bytes);
    const Bytes part = input.subspan(at, std::min(label_bytes, input.size() - at));
    std::copy(part.begin(), part.end(), block.begin());
    const u64 magic = superblock_magic;
    std::memcpy(block.data(), &magic, 8);
    std::memset(block.data() + 12, 0, 4);
    const u32 crc = crc32c(block);
    std::memcpy(block.data() + 12, &crc, 4);
    const auto label = parse_label(block);
    if (label) {
      must(parse_superblock(block).code() == Code::unsupported);
      const auto again = parse_label(encode_label(*label));
      must(again.ok() && again->layout.zones() == label->layout.zones() && again->index == label->index &&
           again->generation == label->generation && again->pool == label->pool && again->names == label->names);
      const u64 bytes = label->layout.size();
      for (const u64 address : {u64{0}, bytes / 2, bytes - 1}) {
        const Layout::Place place = label->layout.locate(address);
        must(place.member < label->layout.members() && place.run > 0 && place.offset >= label_area_bytes);
        must(place.offset < label->layout.bytes_of(place.member));
      }
    }
    std::vector<std::byte> front(superblock_b_offset + block_size);
    std::copy(block.begin(), block.end(), front.begin());
    found.push_back({"a", size << 20, (block[label_bytes - 1] & std::byte{1}) != std::byte{0}, parse_labels(front)});
  }
  if (found.empty()) return 0;
  const auto members = join_members(found);
  if (members) {
    must(members->order.size() == found.size() && members->label.layout.members() == found.size());
    for (u32 i = 0; i < found.size(); ++i) must(found[members->order[i]].copies[0]->index == i);
  }
  return 0;
}
