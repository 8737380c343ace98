#include "format/label.h"

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "format/superblock.h"

namespace brindle {

namespace {

struct LabelBlock {
  u64 magic = superblock_magic;  // the first six fields are those of a superblock
  u32 version = format_version;
  u32 crc = 0;
  Features features{.incompatible = feature_member};
  Uuid pool{};
  u64 unit = 0;
  u64 generation = 0;
  u32 index = 0;
  u32 members = 0;
  u32 zone_count = 0;
  std::array<std::byte, 44> reserved{};
  std::array<Zone, zones_max> zones{};
  std::array<std::array<char, member_name_max>, members_max> names{};
  std::array<std::byte, 896> reserved_behind{};
};
static_assert(sizeof(LabelBlock) == label_bytes);

u32 label_crc(LabelBlock block) {
  block.crc = 0;
  return crc32c(std::as_bytes(std::span(&block, 1)));
}

}  // namespace

std::vector<std::byte> encode_label(const MemberLabel& label) {
  LabelBlock block;
  block.pool = label.pool;
  block.unit = label.layout.unit();
  block.generation = label.generation;
  block.index = label.index;
  block.members = label.layout.members();
  const std::vector<Zone>& zones = label.layout.zones();
  CHECK(zones.size() <= zones_max && block.members <= members_max && label.names.size() == block.members);
  block.zone_count = static_cast<u32>(zones.size());
  std::copy(zones.begin(), zones.end(), block.zones.begin());
  for (size_t i = 0; i < label.names.size(); ++i) {
    std::string_view name = label.names[i];
    if (name.size() > member_name_max) name.remove_prefix(name.size() - member_name_max);
    std::memcpy(block.names[i].data(), name.data(), name.size());
  }
  block.crc = label_crc(block);
  const Bytes bytes = std::as_bytes(std::span(&block, 1));
  return {bytes.begin(), bytes.end()};
}

Result<MemberLabel> parse_label(Bytes bytes) {
  if (bytes.size() < label_bytes) return Error{Code::invalid, "it is too short to be a device of a Brindle pool"};
  LabelBlock block;
  std::memcpy(&block, bytes.data(), sizeof block);
  if (block.magic != superblock_magic) return Error{Code::invalid, "it is no device of a Brindle pool"};
  if (block.version != format_version) {
    return Error{Code::unsupported, fmt::format("it has format version {}, and this program reads version {} only: "
                                                "use the brindled that wrote it, or a newer one",
                                                block.version, format_version)};
  }
  if (block.crc != label_crc(block)) return Error{Code::corrupt, "a label's checksum is wrong"};
  if ((block.features.incompatible & feature_member) == 0) {
    return Error{Code::invalid, "it is a pool of its own"};
  }
  const u64 unknown = block.features.incompatible & ~feature_member;
  if (unknown != 0 || block.features.read_compatible != 0) {
    return Error{Code::unsupported, fmt::format("it uses features that this program does not know ({:#x}, {:#x}): "
                                                "use a newer brindled",
                                                unknown, block.features.read_compatible)};
  }
  if (block.zone_count > zones_max) return Error{Code::corrupt, "the layout of its devices makes no sense"};
  auto layout = Layout::of(block.unit, block.members, std::span(block.zones).first(block.zone_count));
  if (!layout) return layout.error();
  if (block.index >= block.members) return Error{Code::corrupt, "a label names a member that there is not"};
  MemberLabel label{block.pool, block.generation, block.index, std::move(layout).value(), {}};
  for (u32 i = 0; i < block.members; ++i) {
    std::string name(block.names[i].data(), strnlen(block.names[i].data(), member_name_max));
    // It ends in somebody's terminal.
    for (char& c : name) {
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
    }
    label.names.push_back(std::move(name));
  }
  return label;
}

}  // namespace brindle
