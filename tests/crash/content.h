// content.h: what all volumes and snapshots hold together, as one number: of the model, and of an engine.
//
// Holds:  equal names, sizes and bytes give equal numbers; a hole and a block of zeroes are the same. The order of volumes and
//         blocks does not matter.
#pragma once

#include "base/result.h"
#include "crash/fair_runtime.h"
#include "crash/image.h"
#include "model/model.h"
#include "volume/engine.h"

namespace brindle::crash {

u64 content_of(const model::State& state);
/// Reads everything. Fails as reading does; `io` too where a call never returns.
Result<u64> content_of(FairRuntime& runtime, Engine& engine);

/// Every volume with its snapshots: what `remove` takes.
std::vector<std::string> all_names(Engine& engine);

}  // namespace brindle::crash
