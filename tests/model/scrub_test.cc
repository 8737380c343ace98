// scrub_test.cc: who is named for what is damaged, where several hold it and while the volume changes.
#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

class ScrubTest : public testing::Test {
 protected:
  static constexpr u64 far = 200;  // a leaf under the same node as all others
  ScrubTest() : world({.verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    world.create("db", 256 * leaf_bytes);
    for (u64 leaf = 0; leaf < 256; ++leaf) world.write("db", leaf * leaf_bytes, pattern(leaf, block_size));
    world.snapshot("db@s");
    world.sync();
  }
  /// What is found: "volume offset kind".
  std::vector<std::string> told(const Result<std::vector<DamageRange>>& damage) {
    std::vector<std::string> lines;
    EXPECT_TRUE(damage);
    for (const DamageRange& range : *damage) lines.push_back(fmt::format("{} {} {}", range.volume, range.offset / leaf_bytes, range.kind));
    return lines;
  }
  /// Flips a bit in what a name of the snapshot names at a leaf.
  void damage(u64 leaf, bool page_of_map) {
    world.close();
    Image image(world.disk());
    const RootId root = image.root_of("db", "s").id;
    if (page_of_map) {
      image.edit_pages([&](EditedPage& page) {
        if (page.level == -1 && page.first == leaf) image.flip(*image.locate(page.ref.name) + 100);
        return false;
      });
    } else {
      image.flip(*image.locate(image.name_of(root, leaf * leaf_blocks)) + 100);
    }
    ASSERT_TRUE(world.open());
  }
  World world;
};

TEST_F(ScrubTest, EachWhoHoldsADamagedPageOfAMapIsNamed) {
  world.clone("db@s", "dev");
  damage(far, true);
  const std::vector<std::string> all{"db 200 map", "db@s 200 map", "dev 200 map"};
  EXPECT_EQ(told(world.run(world.engine().scrub(nullptr))), all);
}

TEST_F(ScrubTest, WhatTheHeadLeavesBehindMeanwhileIsStillReadThroughTheSnapshot) {
  damage(far, false);
  const auto scrub = [](World& within) -> Task<Result<std::vector<DamageRange>>> {
    // The walk stands in the first of those leaves when the node above all of them is exchanged.
    const auto overwrite = [](World& in, Engine::Progress& progress) -> Task<void> {
      while (progress.done < 10 * block_size) co_await in.runtime().sleep(1000);
      const auto to = in.handle("db");
      const std::string bytes = pattern(1000, block_size);
      EXPECT_TRUE(co_await to->write(far * leaf_bytes, std::as_bytes(std::span(bytes)), false));
      EXPECT_LT(progress.done, far * block_size);
    };
    Engine::Progress progress;
    Gate gate(within.runtime());
    gate.spawn(overwrite(within, progress));
    auto damage = co_await within.engine().scrub(&progress);
    co_await gate.close();
    co_return damage;
  };
  const std::vector<std::string> all{"db@s 200 checksum"};
  EXPECT_EQ(told(world.run(scrub(world))), all);
}

}  // namespace
}  // namespace brindle::model
