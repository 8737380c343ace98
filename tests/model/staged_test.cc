// staged_test.cc: a pool whose writes are acknowledged from staging memory, killed before its device has them.
#include "model/trial.h"

namespace brindle::model {
namespace {

TEST(StagedPoolTest, WhatTheDeviceDoesNotTakeAtTheNextStartIsSaidAndWaits) {
  SimDisk disk(64 * MiB);
  AlignedBuffer memory(4 * MiB);
  memory.clear();
  const std::string bytes = pattern(1, 8 * KiB);
  {
    Trial made(disk, 1, {}, {.create = true, .staging = &memory});
    ASSERT_TRUE(made.opened);
    ASSERT_TRUE(made.run(made.engine->volume_create("db", MiB, {})));
    const auto handle = made.engine->open_handle("db", false);
    ASSERT_TRUE(handle);
    made.device->faults().slow_calls = 1000;
    made.device->faults().slow_ns = 10 * second_ns;
    ASSERT_TRUE(made.run((*handle)->write(0, std::as_bytes(std::span(bytes)), false)));
  }
  {
    const Trial refused(disk, 1, {.failing_writes = 1000}, {.staging = &memory});
    EXPECT_EQ(refused.opened.code(), Code::io);
    EXPECT_NE(refused.opened.error().message.find("wait in staging memory"), std::string::npos)
        << refused.opened.error().message;
  }
  Trial trial(disk, 1, {}, {.staging = &memory});
  ASSERT_TRUE(trial.opened);
  const auto handle = trial.engine->open_handle("db", true);
  ASSERT_TRUE(handle);
  std::string read(bytes.size(), '?');
  ASSERT_TRUE(trial.run((*handle)->read(0, std::as_writable_bytes(std::span(read)))));
  EXPECT_TRUE(read == bytes);
}

}  // namespace
}  // namespace brindle::model
