// uuid.h: random UUIDs (RFC 9562, version 4), of pools, volumes and snapshots.
//
// Holds:  each thread draws from a generator of its own, seeded once by the system; where a run is to be had again byte for
//         byte, a test seeds it.
#pragma once

#include <array>
#include <string>

#include "base/units.h"

namespace brindle {

using Uuid = std::array<u8, 16>;

Uuid fresh_uuid();

/// "6f1c…" with hyphens, as RFC 9562 writes it.
std::string uuid_text(const Uuid& uuid);

/// From here on this thread's UUIDs follow from `seed`: the images that a simulated run leaves are then always the same.
void seed_uuids(u64 seed);

}  // namespace brindle
