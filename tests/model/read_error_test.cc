// read_error_test.cc: what cannot be read, or makes no sense, is an error and never an answer.
#include "model/image.h"
#include "model/trial.h"

namespace brindle::model {
namespace {

TEST(ReadErrorTest, WhatCannotBeReadIsAnErrorAndNeverAWrongAnswer) {
  SimDisk disk = sample_disk();
  const std::vector<std::string> names{"db", "dev", "twin", "small", "dev@new", "small@kept"};
  std::map<std::string, std::pair<u64, u64>> counted;
  std::map<std::string, u64> differ;
  {
    Trial trial(disk, 1, {});
    ASSERT_TRUE(trial.opened);
    for (const std::string& name : names) {
      const auto info = trial.run(trial.engine->measure(name));
      ASSERT_TRUE(info);
      counted[name] = {*info->referenced, *info->exclusive};
    }
    differ["twin"] = trial.run(trial.engine->diff("dev", "twin"))->size();
    differ["db"] = trial.run(trial.engine->diff("dev", "db"))->size();
    differ["dev@new"] = trial.run(trial.engine->diff("dev", "dev@new"))->size();
    ASSERT_TRUE(trial.run(trial.engine->close()));
  }
  u64 errors = 0;
  for (u64 seed = 1; seed <= 100; ++seed) {
    SimDisk copy = disk;
    Trial trial(copy, seed, {});
    ASSERT_TRUE(trial.opened);
    trial.device->faults().read_error_one_in = 2 + seed % 7;
    const std::string& name = names[seed % names.size()];
    const auto info = trial.run(trial.engine->measure(name));
    if (info) {
      EXPECT_EQ(std::pair(*info->referenced, *info->exclusive), counted[name]) << name << ", seed " << seed;
    } else {
      EXPECT_EQ(info.code(), Code::io);
      ++errors;
    }
    for (const auto& [other, count] : differ) {
      const auto ranges = trial.run(trial.engine->diff("dev", other));
      if (ranges) {
        EXPECT_EQ(ranges->size(), count) << other << ", seed " << seed;
      } else {
        EXPECT_EQ(ranges.code(), Code::io);
        ++errors;
      }
    }
    const auto freed = trial.run(trial.engine->frees({"dev", "twin"}, true));
    if (!freed) {
      EXPECT_EQ(freed.code(), Code::io);
    }
    const auto resized = trial.run(trial.engine->volume_resize("db", 32 * GiB + seed * block_size, false));
    if (!resized) {
      EXPECT_TRUE(resized.code() == Code::io || resized.code() == Code::read_only);
    }
    const auto shrunk = trial.run(trial.engine->volume_resize("small", 1 * MiB, true));
    if (!shrunk) {
      EXPECT_TRUE(shrunk.code() == Code::io || shrunk.code() == Code::read_only);
    }
    if (auto handle = trial.engine->open_handle("twin", false)) {
      const Status zeroed = trial.run((*handle)->discard(4 * MiB, 900 * MiB, false));
      if (!zeroed) {
        EXPECT_TRUE(zeroed.code() == Code::io || zeroed.code() == Code::read_only);
      }
    }
    const auto found = trial.run(trial.engine->scrub(nullptr));
    ASSERT_TRUE(found);
    for (const DamageRange& range : *found) EXPECT_TRUE(range.kind == "io" || range.kind == "map") << range.kind;
  }
  EXPECT_GT(errors, 30u);
}

TEST(ReadErrorTest, PagesThatMakeNoSenseAreDamageAndNoAnswer) {
  for (const PageKind kind : {PageKind::leaf, PageKind::patch, PageKind::node}) {
    SimDisk disk = sample_disk();
    Image image(disk);
    image.edit_page_bytes([&](const PageRef& ref, std::vector<std::byte>& bytes) {
      if (ref.kind != kind) return false;
      bytes.assign(bytes.size(), std::byte{0xff});
      return true;
    });
    image.save();
    Trial trial(disk, 1, {});
    ASSERT_TRUE(trial.opened);
    const auto measured = trial.run(trial.engine->measure("db"));
    ASSERT_FALSE(measured);
    EXPECT_EQ(measured.code(), Code::corrupt);
    const auto found = trial.run(trial.engine->scrub(nullptr));
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->empty());
    for (const DamageRange& range : *found) EXPECT_EQ(range.kind, "map");
  }
}

TEST(ReadErrorTest, ABlockInNoSegmentIsDamageAndNoAnswer) {
  SimDisk disk = sample_disk();
  Image image(disk);
  const RootId small = image.root_of("small").id;
  image.edit_pages([&](EditedPage& page) {
    auto* const patch = std::get_if<PatchData>(&page.page);
    if (page.root.id != small || patch == nullptr) return false;
    patch->names[0] = SlotName::of(image.segments.rbegin()->first + 5, 9);
    return true;
  });
  image.save();
  Trial trial(disk, 1, {});
  ASSERT_TRUE(trial.opened);
  const auto handle = trial.engine->open_handle("small", true);
  std::string bytes(2 * MiB, '?');
  const Status status = trial.run((*handle)->read(0, std::as_writable_bytes(std::span(bytes))));
  EXPECT_EQ(status.code(), Code::corrupt);
}

}  // namespace
}  // namespace brindle::model
