// shrink.h: makes a history that fails shorter, by leaving items out as long as it still fails.
//
// Holds:  what is left fails too, though perhaps for another reason than the whole did.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/history.h"

namespace brindle::sim {

struct Failing {
  std::string why;
  u64 failed_at = 0;  // the index of the end of the phase in which it failed; the greatest number where nobody knows
};
/// Plays a history: why it fails, or nothing.
using Try = std::function<std::optional<Failing>(const History&)>;

struct Shrunk {
  std::vector<u64> keep;  // indices
  std::string why;
  u64 tries = 0;
};

Shrunk shrink(const History& history, const Failing& first, const Try& attempt, std::chrono::seconds at_most);

}  // namespace brindle::sim
