#include "serve/attach/volume_link.h"

#include <gtest/gtest.h>

namespace brindle::attach {
namespace {

Error none() { return Error{Code::not_found, "none"}; }
Error away() { return Error{Code::stopping, "away"}; }

TEST(VolumeLink, AVolumeIsNotGoneWhenItIsMissedForTheFirstTime) {
  const FindVolume find = [](const std::string&, const std::string&) -> Result<Whereabouts> { return none(); };
  VolumeLink link("uuid", "db", "/nowhere", false, Replies::simple, find);
  link.lost();
  auto connection = link.connect();
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.code(), Code::not_found);
  link.tried(none());
  EXPECT_FALSE(link.gone());
}

TEST(VolumeLink, AttemptsBecomeRarerAndHurryMakesOneDue) {
  const FindVolume find = [](const std::string&, const std::string&) -> Result<Whereabouts> { return away(); };
  VolumeLink link("uuid", "db", "/nowhere", false, Replies::simple, find);
  link.lost();
  EXPECT_FALSE(link.is_due());
  EXPECT_LE(link.wait_ms(), 50);
  for (int i = 0; i < 10; ++i) link.tried(away());
  EXPECT_GT(link.wait_ms(), 500);
  EXPECT_LE(link.wait_ms(), 1000);
  link.hurry();
  EXPECT_TRUE(link.is_due());
  EXPECT_EQ(link.wait_ms(), 0);
}

TEST(VolumeLink, ItIsLookedForUnderTheNameThatItHadLast) {
  std::string asked;
  const FindVolume find = [&](const std::string& uuid, const std::string& name) -> Result<Whereabouts> {
    EXPECT_EQ(uuid, "uuid");
    asked = name;
    return Whereabouts{"renamed", 4096};
  };
  VolumeLink link("uuid", "db", "/nowhere", false, Replies::simple, find);
  EXPECT_EQ(*link.ask_size(), 4096U);
  EXPECT_EQ(asked, "db");
  EXPECT_EQ(*link.ask_size(), 4096U);
  EXPECT_EQ(asked, "renamed");
  EXPECT_EQ(link.connect().code(), Code::stopping);  // nobody listens
}

}  // namespace
}  // namespace brindle::attach
