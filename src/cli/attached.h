// attached.h: what a verb for volumes owes to those that are attached to this machine.
#pragma once

#include "cli/context.h"

namespace brindle::cli {

/// `volume` has another size now: where it is attached here, its device follows. Says what became of that; fails never, since
/// the volume has its size whatever the device knows.
void let_device_follow(Context& context, const Json& volume);

}  // namespace brindle::cli
