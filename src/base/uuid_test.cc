#include "base/uuid.h"

#include <gtest/gtest.h>

namespace brindle {
namespace {

TEST(Uuids, AreOfVersion4AndDiffer) {
  const Uuid one = fresh_uuid();
  EXPECT_EQ(one[6] >> 4, 4);
  EXPECT_EQ(one[8] >> 6, 2);
  EXPECT_NE(one, fresh_uuid());
}

TEST(Uuids, FollowFromASeed) {
  seed_uuids(7);
  const Uuid one = fresh_uuid();
  const Uuid two = fresh_uuid();
  seed_uuids(7);
  EXPECT_EQ(fresh_uuid(), one);
  EXPECT_EQ(fresh_uuid(), two);
  seed_uuids(8);
  EXPECT_NE(fresh_uuid(), one);
}

}  // namespace
}  // namespace brindle
