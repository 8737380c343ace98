// compare.h: walks over several maps at once that skip what they share: space questions and diffs.
//
// Holds:  a walk looks at the maps as they were when it began; the pages that it still needs stay readable while it runs. Only
//         walk_leaves looks at each leaf as it is when its turn comes, so that a scrub of hours keeps nothing from being given again.
// Caller: the pool's home core. These take as long as the maps differ, and let requests go first.
// Fails:  corrupt, io: a page that cannot be read; stopping, as soon as the flag says so.
#pragma once

#include <functional>
#include <vector>

#include "map/maps.h"

namespace brindle {

/// Blocks that the root names.
Task<Result<u64>> count_blocks(Maps& maps, RootId root, const bool& stopping);

/// Blocks that are free once exactly these roots are removed: in each connected part of (the set and all hidden roots),
/// what members of the set hold, less what the part's visible neighbours hold.
Task<Result<u64>> count_freed(Maps& maps, std::vector<RootId> set, const bool& stopping);

/// A range of blocks in which `to` differs from `from`.
struct BlockDiff {
  u64 first_block = 0;
  u64 count = 0;
  bool zero = false;  // `to` has a hole there
};
Task<Result<std::vector<BlockDiff>>> diff_roots(Maps& maps, RootId from, RootId to, const bool& stopping);

/// Calls `visit` for each leaf of the root that is not in `seen` yet (by the name of a page), with its resolved blocks.
/// `seen` may be null. For scrub.
using LeafVisitor = std::function<Task<Status>(u64 leaf, std::span<const BlockAt> blocks)>;
Task<Status> walk_leaves(Maps& maps, RootId root, std::set<u64>* seen, LeafVisitor visit,
                         std::function<void(u64 leaf, u64 count, const Error& why)> damaged);

}  // namespace brindle
