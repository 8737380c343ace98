// damage.h: what `check` and `scrub` found, as lines for people.
#pragma once

#include <string>

#include "cli/context.h"

namespace brindle::cli {

/// `damage`: array of {volume, offset, length, kind}. A line for each range and kind, with everyone who holds it.
std::string damage_lines(const Json& damage);

/// How `check` and `scrub` end: `job` {done, total, damage} on standard output as {read, damage} or as lines, and exit 1 where
/// damage was found. Of a pool that no daemon has open also whether its log may end in staging memory (`staged`).
void give_verdict(Context& context, const Json& job);

}  // namespace brindle::cli
