// pattern.h: where the next request goes: anywhere, in order, or everywhere once before anywhere twice.
//
// Holds:  `dense` visits every unit once in a scattered order before any comes again. `spread` visits every group of 64 KiB
//         once, at one unit within it, before any group comes again: so the writes of one pass never stand in one cluster.
//         `woven`, of blocks, fills some leaves of a map at a time, turn about: no two neighbours in a leaf are neighbours in the
//         log, as after writes at random, and yet each leaf is complete before it has to leave memory.
// Caller: one thread.
#pragma once

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>

#include "base/rng.h"

namespace brindle::bench {

enum class Pattern : u8 { random, sequential, spread, dense, woven };

inline std::optional<Pattern> parse_pattern(std::string_view name) {
  if (name == "random") return Pattern::random;
  if (name == "sequential") return Pattern::sequential;
  if (name == "spread") return Pattern::spread;
  if (name == "dense") return Pattern::dense;
  if (name == "woven") return Pattern::woven;
  return std::nullopt;
}

/// Numbers below `count`, each once, in a scattered order; then all again. A linear congruential sequence of the next power
/// of two has full period where the factor is 1 modulo 4 and the addend odd (Hull and Dobell, 1962); what is too large is skipped.
class Scattered {
 public:
  Scattered(u64 count, u64 seed) : count_(count), mask_(std::bit_ceil(count) - 1), state_(seed & mask_) {}
  u64 next() {
    do {
      state_ = (state_ * 0x5851f42d4c957f2d + 0x14057b7ef767814f) & mask_;
      // The low bits of such a sequence alternate; mixed with the high ones they do not, and it stays one to one.
    } while (mixed() >= count_);
    ++given_;
    return mixed();
  }
  u64 passes() const { return given_ / count_; }

 private:
  u64 mixed() const {
    const int half = std::bit_width(mask_) / 2;
    return half == 0 ? state_ : state_ ^ (state_ >> half);
  }
  u64 count_, mask_, state_, given_ = 0;
};

/// Numbers of units of `unit` bytes, of an area of `area` bytes.
class Places {
 public:
  /// An area smaller than one unit is the caller's mistake.
  Places(Pattern pattern, u64 area, u64 unit, u64 seed)
      : pattern_(pattern),
        units_(area / unit),
        group_(pattern == Pattern::spread ? std::max<u64>(1, 64 * KiB / unit) : 1),
        scattered_(std::max<u64>(1, pattern == Pattern::woven ? leaf_blocks : units_ / group_), seed),
        rng_(seed) {}

  u64 next() {
    switch (pattern_) {
      case Pattern::random: return rng_.below(units_);
      case Pattern::sequential: return at_++ % units_;
      case Pattern::dense: return scattered_.next();
      case Pattern::spread: return scattered_.next() * group_ + rng_.below(group_);
      case Pattern::woven: return woven();
    }
    return 0;
  }

 private:
  /// One entry of each leaf of the group, then another of each, and when they are full the next group.
  u64 woven() {
    const u64 leaves = std::max<u64>(1, units_ / leaf_blocks);
    const u64 first = at_ / (leaf_blocks * woven_leaves) * woven_leaves % leaves;
    const u64 group = std::min(woven_leaves, leaves - first);
    const u64 within = at_++ % (leaf_blocks * woven_leaves);
    if (within % woven_leaves == 0) entry_ = scattered_.next();
    return (first + within % woven_leaves % group) * leaf_blocks + entry_;
  }

  static constexpr u64 leaf_blocks = 512;
  static constexpr u64 woven_leaves = 16;  // complete within one checkpoint, mostly
  Pattern pattern_;
  u64 units_;
  u64 group_;
  Scattered scattered_;
  Rng rng_;
  u64 at_ = 0;
  u64 entry_ = 0;
};

}  // namespace brindle::bench
