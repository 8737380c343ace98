#include "device/layout.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "base/check.h"

namespace brindle {

namespace {

constexpr u64 size_limit = u64{1} << 56;

bool has(u64 members, u32 member) { return (members >> member & 1) != 0; }

/// The zones that give each member so many units more.
std::vector<Zone> zones_of(std::vector<u64> rows) {
  std::vector<Zone> zones;
  for (;;) {
    Zone zone;
    for (u32 i = 0; i < rows.size(); ++i) {
      if (rows[i] == 0) continue;
      zone.members |= u64{1} << i;
      zone.rows = zone.rows == 0 ? rows[i] : std::min(zone.rows, rows[i]);
    }
    if (zone.members == 0) return zones;
    for (u64& left : rows) left -= std::min(left, zone.rows);
    zones.push_back(zone);
  }
}

}  // namespace

void Layout::add(Zone zone) {
  // The same members go on where they were.
  if (!zones_.empty() && zones_.back().members == zone.members) {
    zones_.back().rows += zone.rows;
  } else {
    zones_.push_back(zone);
    Stretch stretch{size_, size_, {}, {}};
    for (u32 i = 0; i < members(); ++i) {
      if (!has(zone.members, i)) continue;
      stretch.members.push_back(i);
      stretch.offsets.push_back(bytes_of(i));
    }
    stretches_.push_back(std::move(stretch));
  }
  for (u32 member : stretches_.back().members) member_rows_[member] += zone.rows;
  size_ += zone.rows * stretches_.back().members.size() * unit_;
  stretches_.back().end = size_;
}

Result<Layout> Layout::of(u64 unit, u32 members, std::span<const Zone> zones) {
  const Error wrong{Code::corrupt, "the layout of its devices makes no sense"};
  if (unit < unit_min || unit > unit_max || !std::has_single_bit(unit)) return wrong;
  if (members < 2 || members > members_max || zones.empty() || zones.size() > zones_max) return wrong;
  Layout layout(unit, members);
  for (const Zone& zone : zones) {
    if (zone.members == 0 || zone.members >> members != 0 || zone.rows == 0) return wrong;
    const u64 units = static_cast<u64>(std::popcount(zone.members));
    if (zone.rows > (size_limit - layout.size_) / unit / units) return wrong;
    layout.add(zone);
  }
  if (std::ranges::count(layout.member_rows_, u64{0}) > 0) return wrong;
  return layout;
}

Status Layout::extend(std::vector<u64> rows) {
  CHECK(rows.size() == members());
  Layout longer = *this;
  for (const Zone& zone : zones_of(std::move(rows))) {
    const u64 units = static_cast<u64>(std::popcount(zone.members));
    if (zone.rows > (size_limit - longer.size_) / unit_ / units) {
      return Error{Code::invalid, fmt::format("a pool of several devices has at most {} bytes", size_limit)};
    }
    longer.add(zone);
  }
  if (longer.zones_.size() > zones_max) {
    return Error{Code::invalid, "its devices have grown too many times, each time others: it cannot grow any more"};
  }
  *this = std::move(longer);
  return {};
}

Layout::Place Layout::locate(u64 address) const {
  CHECK(address < size_);
  const auto zone =
      std::find_if(stretches_.begin(), stretches_.end(), [&](const Stretch& one) { return address < one.end; });
  const u64 unit = (address - zone->begin) / unit_;
  const u64 within = address % unit_;
  const u64 count = zone->members.size();
  const u64 row = unit / count;
  const u64 at = zone->offsets[unit % count] + row * unit_ + within;
  // Of a member that goes on alone everything follows in place.
  return {zone->members[unit % count], at, count == 1 ? zone->end - address : unit_ - within};
}

u64 Layout::reach(std::span<const u64> sizes) const {
  for (const Stretch& zone : stretches_) {
    const u64 count = zone.members.size();
    const u64 rows = (zone.end - zone.begin) / unit_ / count;
    // What each of them has of this zone; the first unit that is not whole ends it.
    const auto has_bytes = [&](size_t i) {
      const u64 size = sizes[zone.members[i]];
      return std::min(size > zone.offsets[i] ? size - zone.offsets[i] : 0, rows * unit_);
    };
    u64 whole = rows;
    for (size_t i = 0; i < count; ++i) whole = std::min(whole, has_bytes(i) / unit_);
    if (whole == rows) continue;
    u64 address = zone.begin + whole * count * unit_;
    for (size_t i = 0; i < count; ++i) {
      const u64 part = std::min(has_bytes(i) - whole * unit_, unit_);
      address += part;
      if (part < unit_) break;
    }
    return address;
  }
  return size_;
}

}  // namespace brindle
