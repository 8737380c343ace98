#include "base/planted.h"

#ifdef BRINDLE_PLANTED

#include <cstdio>
#include <cstdlib>

namespace brindle {

namespace {

constexpr PlantInfo table[] = {
#define BRINDLE_PLANT(name, what) {Plant::name, #name, what},
#include "base/plants.def"
#undef BRINDLE_PLANT
};

/// A misspelt name must not look like a bug that nobody found.
Plant from_environment() {
  const char* const name = std::getenv("BRINDLE_PLANT");
  if (name == nullptr || *name == '\0') return Plant::none;
  for (const PlantInfo& info : table) {
    if (info.name == name) return info.plant;
  }
  std::fprintf(stderr, "BRINDLE_PLANT=%s names no planted bug\n", name);
  std::exit(2);
}

}  // namespace

Plant detail::plant_now = from_environment();

std::span<const PlantInfo> plants() { return table; }

bool plant(std::string_view name) {
  for (const PlantInfo& info : table) {
    if (info.name != name) continue;
    detail::plant_now = info.plant;
    return true;
  }
  return false;
}

}  // namespace brindle

#endif
