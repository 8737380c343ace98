#include "format/members.h"

#include <fmt/format.h>

#include "base/uuid.h"
#include "format/superblock.h"

namespace brindle {

std::array<Result<MemberLabel>, 2> parse_labels(Bytes front) {
  const auto at = [&](u64 offset) {
    return parse_label(front.size() > offset ? front.subspan(offset, std::min(label_bytes, front.size() - offset))
                                             : Bytes());
  };
  return {at(0), at(superblock_b_offset)};
}

Result<MemberLabel> label_of(const std::array<Result<MemberLabel>, 2>& copies) {
  const Result<MemberLabel>* best = nullptr;
  for (const auto& copy : copies) {
    if (copy && (best == nullptr || copy->generation > (*best)->generation)) best = &copy;
  }
  if (best != nullptr) return *best;
  // Of two reasons the more telling one.
  return copies[0].code() == Code::invalid ? copies[1].error() : copies[0].error();
}

namespace {

Error refused(Code code, const std::string& name, std::string_view why) {
  return {code, fmt::format("{}: {}", name, why)};
}

std::string member_text(u32 index, const MemberLabel& label) {
  return fmt::format("member {} of {}", index + 1, label.layout.members());
}

}  // namespace

Result<Members> join_members(std::span<const FoundMember> found) {
  CHECK(!found.empty());
  std::vector<MemberLabel> labels;
  for (const FoundMember& one : found) {
    auto label = label_of(one.copies);
    if (!label) {
      const bool none = label.code() == Code::invalid;
      return refused(label.code(), one.name,
                     label.error().message + (none ? ", so it goes with no other: leave it out" : ""));
    }
    labels.push_back(std::move(label).value());
  }
  size_t newest = 0;
  for (size_t i = 1; i < found.size(); ++i) {
    if (labels[i].pool != labels[0].pool) {
      return refused(Code::invalid, found[i].name,
                     fmt::format("it belongs to pool {}, and {} to pool {}: name the devices of one",
                                 uuid_text(labels[i].pool), found[0].name, uuid_text(labels[0].pool)));
    }
    if (labels[i].layout.members() != labels[0].layout.members()) {
      return refused(Code::corrupt, found[i].name,
                     fmt::format("its label and that of {} contradict each other", found[0].name));
    }
    if (labels[i].generation > labels[newest].generation) newest = i;
  }
  Members members{labels[newest], {}, false};
  const MemberLabel& label = members.label;
  members.order.assign(label.layout.members(), found.size());
  for (size_t i = 0; i < found.size(); ++i) {
    size_t& place = members.order[labels[i].index];
    if (place != found.size()) {
      return refused(Code::invalid, found[i].name,
                     fmt::format("it is {}, as {} is: one is a copy of the other, so leave it out",
                                 member_text(labels[i].index, label), found[place].name));
    }
    place = i;
    for (const auto& copy : found[i].copies)
      members.stale = members.stale || !copy || copy->generation != label.generation;
  }
  for (u32 i = 0; i < members.order.size(); ++i) {
    if (members.order[i] != found.size()) continue;
    const std::string where = label.names[i].empty() ? "" : fmt::format(", which was at {}", label.names[i]);
    return refused(Code::invalid, found[0].name,
                   fmt::format("it is {} of a pool, and member {} is missing{}: name all of them",
                               member_text(labels[0].index, label), i + 1, where));
  }
  for (u32 i = 0; i < members.order.size(); ++i) {
    const FoundMember& one = found[members.order[i]];
    const u64 least = one.grows ? label_area_bytes : label.layout.bytes_of(i);
    if (one.size >= least) continue;
    return refused(Code::corrupt, one.name,
                   fmt::format("it was cut short: it had {} bytes, and {} are left: restore it", least, one.size));
  }
  return members;
}

}  // namespace brindle
