#include "cli/progress.h"

#include <gtest/gtest.h>

namespace brindle::cli {

TEST(Progress, the_line_has_bytes_percent_rate_and_what_is_left) {
  EXPECT_EQ(progress_line("scrub", 512 * MiB, 1024 * MiB, 2), "scrub  512 MiB of 1.0 GiB, 50 %, 256 MiB/s, 3 s left");
  EXPECT_EQ(progress_line("scrub", MiB, 1024 * MiB, 1), "scrub  1.0 MiB of 1.0 GiB, 0 %, 1.0 MiB/s, 17 min left");
}

TEST(Progress, the_first_moment_promises_nothing) {
  EXPECT_EQ(progress_line("check", MiB, 4 * MiB, 0.1), "check  1.0 MiB of 4.0 MiB, 25 %");
  EXPECT_EQ(progress_line("check", 0, 0, 10), "check  0 B");
  EXPECT_EQ(progress_line("check", 4 * MiB, 4 * MiB, 4), "check  4.0 MiB of 4.0 MiB, 100 %, 1.0 MiB/s");
}

}  // namespace brindle::cli
