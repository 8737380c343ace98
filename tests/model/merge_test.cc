// merge_test.cc: a patch that is read for long takes in its base, and nobody sees it but by what the cache holds.
#include "model/world.h"

namespace brindle::model {
namespace {

class MergeTest : public testing::Test {
 protected:
  static constexpr u64 leaf_size = leaf_blocks * block_size;
  static constexpr u64 leaf_bytes = 6 * KiB;  // of memory, and some more

  /// A leaf of scattered blocks, and a snapshot of it.
  MergeTest() : world({.reads_before_merge = 4}) {
    EXPECT_TRUE(world.open());
    world.create("db", leaf_size);
    content = std::string(leaf_size, '\0');
    for (u64 i = 0; i < leaf_blocks; ++i) write("db", content, i * 37 % leaf_blocks, i);
    world.snapshot("db@one");
    kept = content;
  }
  void write(const std::string& name, std::string& to, u64 block, u64 stamp) {
    const std::string bytes = pattern(stamp, block_size);
    world.write(name, block * block_size, bytes);
    to.replace(block * block_size, block_size, bytes);
  }
  /// So that nothing is in memory but what reads bring.
  void reopen() {
    world.close();
    ASSERT_TRUE(world.open());
  }
  u64 cached() { return world.engine().status().cache_bytes; }
  void expect_all(const std::string& name, const std::string& bytes) {
    for (u64 at = 0; at < leaf_size; at += 16 * block_size) EXPECT_EQ(world.read(name, at, 16 * block_size), bytes.substr(at, 16 * block_size));
  }

  World world;
  std::string content;  // of db
  std::string kept;     // of db@one
};

TEST_F(MergeTest, TheHeadIsReadFromOnePageAndTheSnapshotStaysAsItWas) {
  for (u64 block : {3, 77, 500}) write("db", content, block, 1000 + block);
  reopen();
  expect_all("db", content);
  const u64 merged = cached();
  expect_all("db", content);
  EXPECT_EQ(cached(), merged);
  // The leaf comes in again for the snapshot alone.
  expect_all("db@one", kept);
  EXPECT_GT(cached(), merged + leaf_bytes);
  expect_all("db", content);
  expect_all("db@one", kept);
}

TEST_F(MergeTest, WhatIsWrittenOverAMergedPatchKeepsItsEntriesAndLetsGoOfWhatItHides) {
  for (u64 block : {3, 77, 500}) write("db", content, block, 1000 + block);
  reopen();
  expect_all("db", content);
  write("db", content, 77, 2000);
  write("db", content, 10, 2001);
  expect_all("db", content);
  reopen();
  expect_all("db", content);
  expect_all("db", content);
  for (u64 i = 0; i < 100; ++i) write("db", content, i * 5, 3000 + i);  // more than a patch may have
  expect_all("db", content);
  expect_all("db@one", kept);
  world.kill();
  ASSERT_TRUE(world.open());
  expect_all("db", content);
  world.remove("db");
  expect_all("db@one", kept);
  world.remove("db@one");
  world.close();  // and the verifier finds that nothing leaks
}

TEST_F(MergeTest, ALeafThatTwoClonesReadStaysOne) {
  world.clone("db@one", "copy");
  std::string copied = kept;
  write("db", content, 3, 1000);
  write("copy", copied, 4, 1001);
  reopen();
  for (u64 round = 0; round < 3; ++round) {
    for (u64 at = 0; at < leaf_size; at += 16 * block_size) {
      EXPECT_EQ(world.read("db", at, 16 * block_size), content.substr(at, 16 * block_size));
      EXPECT_EQ(world.read("copy", at, 16 * block_size), copied.substr(at, 16 * block_size));
    }
  }
  const u64 shared = cached();
  // Read alone it is the clone's.
  expect_all("copy", copied);
  EXPECT_NEAR(static_cast<double>(cached()), static_cast<double>(shared), KiB / 2.0);
  expect_all("db", content);
  EXPECT_GT(cached(), shared + leaf_bytes / 2) << "both have read it for long by themselves";
  EXPECT_LT(cached(), shared + 2 * leaf_bytes);
}

}  // namespace
}  // namespace brindle::model
