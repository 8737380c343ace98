// rng.h: a small random generator whose sequence is the same everywhere, for the simulator and tests.
//
// SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.
#pragma once

#include "base/units.h"

namespace brindle {

class Rng {
 public:
  explicit Rng(u64 seed) : state_(seed) {}
  u64 next() {
    u64 z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// Of [0, bound).
  u64 below(u64 bound) { return next() % bound; }
  /// Of [first, last].
  u64 between(u64 first, u64 last) { return first + below(last - first + 1); }
  /// True once in `n`.
  bool one_in(u64 n) { return below(n) == 0; }

 private:
  u64 state_;
};

}  // namespace brindle
