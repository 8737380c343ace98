// tree_drawing.h: the families as trees of names with their sizes beside them.
//
//   db@monday            the eldest of a family, at the edge
//   │  └─ dev            a clone hangs from its snapshot
//   ├─ db@tuesday        what continues the same volume stays at one depth, or a year of hourly snapshots would
//   └─ db                need a very wide terminal
#pragma once

#include <string>

#include "cli/client.h"

namespace brindle::cli {

/// `entries`: as GET /v1/tree answers, each right behind its parent's, with its depth. `utf8`: with box characters.
std::string draw_families(const Json& entries, bool utf8);

}  // namespace brindle::cli
