// check.h: the verifier beside the running engine: what `POST /v1/check` starts.
//
// Holds:  the engine goes on meanwhile; what the checkpoint names that is being verified stays where it is.
// Caller: any thread but a reactor's.
#pragma once

#include "control/job.h"
#include "device/device.h"
#include "runtime/runtime.h"
#include "volume/engine.h"

namespace brindle {

control::JobSteps check_steps(Engine& engine, Device& device, Runtime& home);

}  // namespace brindle
