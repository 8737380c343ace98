// online_check.h: the verifier over the pool of a running daemon.
//
// Holds:  it looks at the newest durable checkpoint, with its own eyes; the engine goes on meanwhile, but gives no space
//         back until the check has ended.
#pragma once

#include "control/job.h"
#include "device/device.h"
#include "runtime/runtime.h"
#include "volume/engine.h"

namespace brindle::daemon {

/// To be run by a thread that is not home's, while engine and device live.
control::JobSteps check_steps(Runtime& home, Engine& engine, Device& device);

}  // namespace brindle::daemon
