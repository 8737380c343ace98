#include "check/findings.h"

#include <algorithm>

#include <fmt/format.h>

namespace brindle {

namespace {

// More lines than this of one kind help nobody, and a pool of garbage would fill the memory with them.
constexpr u64 pool_lines_max = 10'000;

}  // namespace

void Findings::pool(std::string_view kind, u64 offset, u64 length, std::string note) {
  if (!damage_.empty()) {
    CheckDamage& last = damage_.back();
    const bool goes_on = last.volume.empty() && last.kind == kind && last.note == note;
    if (goes_on && last.offset + last.length == offset && length > 0) {
      last.length += length;
      return;
    }
    if (goes_on && last.offset == offset && last.length == length) return;
  }
  u64& count = pool_counts_[std::string(kind)];
  if (++count <= pool_lines_max) damage_.push_back({{}, offset, length, std::string(kind), std::move(note)});
}

void Findings::volume(const std::string& name, std::string_view kind, u64 offset, u64 length, std::string note) {
  if (!damage_.empty()) {
    CheckDamage& last = damage_.back();
    if (last.volume == name && last.kind == kind && last.note == note && last.offset + last.length == offset) {
      last.length += length;
      return;
    }
  }
  damage_.push_back({name, offset, length, std::string(kind), std::move(note)});
}

std::vector<CheckDamage> Findings::take() {
  for (const auto& [kind, count] : pool_counts_) {
    if (count <= pool_lines_max) continue;
    damage_.push_back({{}, 0, 0, kind, fmt::format("and {} more like these", count - pool_lines_max)});
  }
  std::stable_sort(damage_.begin(), damage_.end(), [](const CheckDamage& a, const CheckDamage& b) {
    return a.volume != b.volume ? a.volume < b.volume : a.offset < b.offset;
  });
  return std::move(damage_);
}

}  // namespace brindle
