// layout.h: which device of several has which bytes of a pool.
//
//   address, in units   0    1    2    3    4    5    6    7
//   zone 0              m0 │ m1 │ m2 │ m0 │ m1 │ m2            as long as all three have room
//   zone 1                                         m1 │ m1     the largest goes on alone
//
// Each member begins with a label (format/label.h); its units follow, one behind the other in the order of their addresses. So members
// that grow are filled evenly and from the front, and whoever reads much reads from all of them.
//
// Holds:  1. A layout only ever becomes longer: no address changes its place.
//         2. A unit is at least a chunk of the pool, so what a chunk holds lies on one member.
// Caller: any thread; it is a value.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace brindle {

inline constexpr u64 label_area_bytes = 1 * MiB;  // at the front of each member
inline constexpr u32 members_max = 32;
inline constexpr u32 zones_max = 64;
inline constexpr u64 unit_min = 512 * KiB;
inline constexpr u64 unit_max = 8 * MiB;

/// A stretch of addresses that these members share out evenly.
struct Zone {
  u64 members = 0;  // bit i: member i
  u64 rows = 0;     // units of each
  bool operator==(const Zone&) const = default;
};

class Layout {
 public:
  struct Place {
    u32 member = 0;
    u64 offset = 0;  // on the member
    u64 run = 0;     // bytes from there on that follow in place
  };

  /// Nothing yet; `extend` comes next.
  Layout(u64 unit, u32 members) : unit_(unit), member_rows_(members) {}
  /// Fails: corrupt (a layout that cannot be).
  static Result<Layout> of(u64 unit, u32 members, std::span<const Zone> zones);

  /// Member i gives `rows[i]` more units. Fails: invalid (too many zones, or too many bytes), and nothing has changed.
  Status extend(std::vector<u64> rows);

  u64 unit() const { return unit_; }
  u32 members() const { return static_cast<u32>(member_rows_.size()); }
  const std::vector<Zone>& zones() const { return zones_; }
  /// Bytes that can be addressed.
  u64 size() const { return size_; }
  u64 rows_of(u32 member) const { return member_rows_[member]; }
  /// Bytes that the member needs, its label and all.
  u64 bytes_of(u32 member) const { return label_area_bytes + member_rows_[member] * unit_; }
  /// Where `address`, which is below size(), lies.
  Place locate(u64 address) const;
  /// How many bytes from 0 on lie within members that have `sizes` bytes now.
  u64 reach(std::span<const u64> sizes) const;

 private:
  struct Stretch {
    u64 begin = 0;  // address
    u64 end = 0;
    std::vector<u32> members;
    std::vector<u64> offsets;  // where the zone begins on each of them
  };
  void add(Zone zone);

  u64 unit_;
  std::vector<u64> member_rows_;  // by member
  std::vector<Zone> zones_;
  std::vector<Stretch> stretches_;  // by zone
  u64 size_ = 0;
};

}  // namespace brindle
