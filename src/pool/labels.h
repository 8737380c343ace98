// labels.h: writes the labels of a pool that lies on several devices, as format/label.h wants it.
//
// Caller: the home core of the devices, while nothing else writes labels.
// Disk:   on ok every copy on every member is durable. A crash in between leaves at least one whole copy on each member that had one;
//         the newest of any counts, and it may be the old one or the new one.
#pragma once

#include <vector>

#include "device/device.h"
#include "format/label.h"

namespace brindle {

/// Zeroes where the label will stand, so that what was there before is nothing any more. The first thing done to a new member.
Task<Status> clear_label_areas(std::vector<Device*> members);
/// Writes `label` to each of them, with its own index. `members` in their order.
Task<Status> write_labels(std::vector<Device*> members, MemberLabel label);

}  // namespace brindle
