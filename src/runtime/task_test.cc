#include "runtime/task.h"

#include <gtest/gtest.h>

namespace brindle {
namespace {

Task<void> count(int& steps) {
  ++steps;
  co_return;
}

/// Ends at once unless it is to wait.
Task<void> maybe(bool waits, int& steps) {
  if (waits) return count(steps);
  return {};
}

Task<void> both(int& steps) {
  co_await maybe(false, steps);
  ++steps;
  co_await maybe(true, steps);
  ++steps;
}

TEST(Task, OneThatHasEndedGoesOnAtOnce) {
  int steps = 0;
  start(both(steps));
  EXPECT_EQ(steps, 3);
  EXPECT_TRUE(maybe(false, steps).has_ended());
  EXPECT_FALSE(maybe(true, steps).has_ended());
  EXPECT_EQ(steps, 3) << "nothing runs before it is awaited";
}

}  // namespace
}  // namespace brindle
