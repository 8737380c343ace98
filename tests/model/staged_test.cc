// staged_test.cc: a pool whose writes are acknowledged from staging memory, killed before its device has them.
#include <gtest/gtest.h>

#include "base/aligned.h"
#include "device/sim_device.h"
#include "device/staged_device.h"
#include "device/staging.h"
#include "model/world.h"
#include "runtime/sim_runtime.h"
#include "volume/core.h"

namespace brindle {
namespace {

using model::pattern;
using model::run_on;

class StagedPoolTest : public testing::Test {
 protected:
  StagedPoolTest() : memory_(4 * MiB) { memory_.clear(); }
  ~StagedPoolTest() override { kill(); }

  /// A process that opens the pool, and makes it the first time.
  Status open(const SimFaults& faults = {}) {
    const bool create = life_ == nullptr;
    kill();
    life_ = new Life(disk_, memory_, faults, create);
    return run_on(life_->runtime, life_->engine.open());
  }
  /// It ends where it stands: what it was about to do stays undone, and its memory as it lay.
  void kill() {
    if (life_ == nullptr) return;
    life_->device.kill();
    life_->runtime.drop();
  }
  EngineCore& engine() { return life_->engine; }
  SimDevice& device() { return life_->device; }
  template <class T>
  T run(Task<T> task) {
    return run_on(life_->runtime, std::move(task));
  }

 private:
  struct Life {
    SimRuntime runtime{1};
    SimDevice device;
    Staging staging;
    StagedDevice staged;
    EngineCore engine;
    Life(SimDisk& disk, AlignedBuffer& memory, const SimFaults& faults, bool create)
        : device(runtime, disk, 1, faults),
          staging(memory.span(), StagingOwner{.inode = 1}),
          staged(runtime, device, staging),
          engine(runtime, staged, {.create = create, .memory_max = 16 * MiB}) {}
  };

  SimDisk disk_{64 * MiB};
  AlignedBuffer memory_;
  Life* life_ = nullptr;  // the last one; the coroutines of those that were killed still point into them
};

TEST_F(StagedPoolTest, WhatTheDeviceDoesNotTakeAtTheNextStartIsSaidAndWaits) {
  ASSERT_TRUE(open());
  ASSERT_TRUE(run(engine().volume_create("db", MiB, {})).ok());
  const std::string bytes = pattern(1, 8 * KiB);
  {
    const auto handle = engine().open_handle("db", false);
    ASSERT_TRUE(handle.ok());
    device().faults().slow_calls = 1000;
    device().faults().slow_ns = 10 * second_ns;
    ASSERT_TRUE(run((*handle)->write(0, std::as_bytes(std::span(bytes)), false)));
  }
  const Status refused = open({.failing_writes = 1000});
  EXPECT_EQ(refused.code(), Code::io);
  EXPECT_NE(refused.error().message.find("wait in staging memory"), std::string::npos) << refused.error().message;

  ASSERT_TRUE(open());
  const auto handle = engine().open_handle("db", true);
  ASSERT_TRUE(handle.ok());
  std::string read(bytes.size(), '?');
  ASSERT_TRUE(run((*handle)->read(0, std::as_writable_bytes(std::span(read)))));
  EXPECT_TRUE(read == bytes);
}

}  // namespace
}  // namespace brindle
