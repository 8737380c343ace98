// planted.h: bugs planted on purpose, so that the tests that should find such bugs are tested too.
//
// Holds:  1. A build made with -DBRINDLE_PLANTED=ON holds all of them (plants.def lists them) and does what one of them
//            says, or none: `plant` picks it, or the environment variable BRINDLE_PLANT, in any program of that build.
//         2. In any other build `planted` is the constant false, and the compiler leaves no trace of the marked places.
//         3. A mark stands where the mistake would be made, never in a test or an oracle: those see only its effects.
// Caller: `planted` from anywhere; `plant` before the engine starts.
#pragma once

#include <span>
#include <string_view>

#include "base/units.h"

namespace brindle {

enum class Plant : u8 {
  none,
#define BRINDLE_PLANT(name, what) name,
#include "base/plants.def"
#undef BRINDLE_PLANT
};

#ifdef BRINDLE_PLANTED

namespace detail {
extern Plant plant_now;
}

inline bool planted(Plant plant) { return detail::plant_now == plant; }

struct PlantInfo {
  Plant plant;
  std::string_view name;
  std::string_view what;  // the engine then does wrong
};

/// All of them, in the order of plants.def.
std::span<const PlantInfo> plants();
/// Picks one. False: there is none of this name.
bool plant(std::string_view name);

#else

constexpr bool planted(Plant) { return false; }

#endif

}  // namespace brindle
