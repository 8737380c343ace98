#include "control/rates.h"

#include <gtest/gtest.h>

namespace brindle::control {

TEST(RateMeter, who_asks_first_waits_for_a_second_sample_and_an_idle_engine_answers_at_once) {
  RateMeter meter;
  PoolStatus status;
  int asked = 0;
  const auto busy = [&] {
    PoolStatus now;
    now.writes = static_cast<u64>(asked) * 1000;
    now.write_bytes = now.writes * 4096;
    ++asked;
    return now;
  };
  const Rates rates = meter.rates(busy, status);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(status.writes, 1000u);
  EXPECT_GT(rates.writes, 1000u);  // 1,000 in a tenth of a second, or in a little more
  EXPECT_LE(rates.writes, 10'000u);
  EXPECT_EQ(rates.reads, 0u);
}

}  // namespace brindle::control
