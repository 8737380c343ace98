// trial.h: one life of an engine on a disk, with the faults that its device has from before the opening; killed at the end.
//
// Holds:  nothing is checked: what the opening said is in `opened`, and the disk may be opened by another trial afterwards.
#pragma once

#include <memory>

#include "base/aligned.h"
#include "device/sim_device.h"
#include "device/staged_device.h"
#include "device/staging.h"
#include "model/world.h"
#include "runtime/sim_runtime.h"
#include "volume/core.h"

namespace brindle::model {

struct TrialOptions {
  bool create = false;
  AlignedBuffer* staging = nullptr;  // writes are acknowledged from this memory, which outlives the trial
};

struct Trial {
  Trial(SimDisk& disk, u64 seed, const SimFaults& faults, const TrialOptions& options = {})
      : runtime(std::make_unique<SimRuntime>(seed)), device(std::make_unique<SimDevice>(*runtime, disk, seed, faults)) {
    if (options.staging != nullptr) {
      staging = std::make_unique<Staging>(options.staging->span(), StagingOwner{.inode = 1});
      staged = std::make_unique<StagedDevice>(*runtime, *device, *staging);
    }
    Device& under = staged ? static_cast<Device&>(*staged) : *device;
    engine = std::make_unique<EngineCore>(*runtime, under, EngineOptions{.create = options.create, .memory_max = 16 * MiB});
    opened = run(engine->open());
  }
  /// As after a kill: what still waits leaks.
  ~Trial() {
    device->kill();
    runtime->drop();
    static_cast<void>(engine.release());  // NOLINT: its coroutines still point into it
    static_cast<void>(staged.release());
    static_cast<void>(staging.release());
    static_cast<void>(device.release());
    static_cast<void>(runtime.release());
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  template <class T>
  T run(Task<T> task) {
    return run_on(*runtime, std::move(task));
  }

  std::unique_ptr<SimRuntime> runtime;
  std::unique_ptr<SimDevice> device;
  std::unique_ptr<Staging> staging;
  std::unique_ptr<StagedDevice> staged;
  std::unique_ptr<EngineCore> engine;
  Status opened;
};

}  // namespace brindle::model
