// members_test.cc: a pool on several disks: what is promised of one holds of all of them together.
#include <algorithm>
#include <cstring>

#include "format/superblock.h"
#include "model/world.h"

namespace brindle::model {
namespace {

constexpr u64 volumes = 2;
constexpr u64 volume_blocks = 512;
constexpr u64 write_blocks_max = 64;

struct Write {
  u64 volume;
  u64 first;
  u64 count;
};

/// What one writer did, in its order: write number n fills its blocks with n.
struct Story {
  std::vector<Write> writes;  // the last one may never have been answered
  u64 answered = 0;
  u64 flushed = 0;
  bool failed = false;
};

Task<void> write_on(std::vector<Handle*> to, Rng& rng, Story& story) {
  for (;;) {
    const u64 count = rng.one_in(3) ? rng.between(1, write_blocks_max) : rng.between(1, 3);
    const Write write{rng.below(volumes), rng.below(volume_blocks - count + 1), count};
    story.writes.push_back(write);
    const u64 number = story.writes.size();
    std::vector<u64> words(count * block_size / sizeof number, number);
    Status status = co_await to[write.volume]->write(write.first * block_size, std::as_bytes(std::span(words)), false);
    if (status) story.answered = number;
    if (status && rng.one_in(5)) {
      status = co_await to[write.volume]->flush();
      if (status) story.flushed = number;
    }
    if (!status) {
      story.failed = true;
      co_return;
    }
  }
}

/// The volumes must stand behind one of the writes from `least` on; gives which, the first that is possible.
u64 stands_behind(World& world, const Story& story, u64 least) {
  u64 from = least;
  u64 to = story.writes.size();
  for (u64 volume = 0; volume < volumes; ++volume) {
    const std::string bytes = world.read("v" + std::to_string(volume), 0, volume_blocks * block_size);
    for (u64 block = 0; block < volume_blocks; ++block) {
      const char* const at = bytes.data() + block * block_size;
      u64 number = 0;
      std::memcpy(&number, at, sizeof number);
      EXPECT_EQ(std::memcmp(at, at + sizeof number, block_size - sizeof number), 0) << "a torn block";
      EXPECT_LE(number, story.writes.size());
      // It has been there since `number`, and the next write of this block is not there.
      from = std::max(from, number);
      for (u64 later = number; later < story.writes.size(); ++later) {
        const Write& write = story.writes[later];
        if (write.volume != volume || block < write.first || block >= write.first + write.count) continue;
        to = std::min(to, later);
        break;
      }
    }
  }
  EXPECT_LE(from, to) << "no moment is that of all blocks";
  return from;
}

void crash_again_and_again(u64 seed, u32 members, bool with_faults) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  World world({.seed = seed, .pool_size = 48 * MiB, .members = members, .unit = 512 * KiB});
  ASSERT_TRUE(world.open());
  for (u64 i = 0; i < volumes; ++i) world.create("v" + std::to_string(i), volume_blocks * block_size);
  world.sync();
  Rng rng(seed);
  Story story;
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Handle>> handles;
    std::vector<Handle*> to;
    for (u64 i = 0; i < volumes; ++i) {
      handles.push_back(world.handle("v" + std::to_string(i)));
      to.push_back(handles.back().get());
    }
    auto* const writing = new Rng(rng.next());  // NOLINT: it goes with the writer, who dies with the process
    start(write_on(to, *writing, story));
    world.runtime().run_for(rng.between(1, 20) * millisecond_ns);
    const bool fault = with_faults && rng.one_in(2);
    if (fault) {
      // One disk alone loses what it was to make durable.
      SimFaults& faults = world.device(static_cast<u32>(rng.below(members))).faults();
      (rng.one_in(2) ? faults.failing_flushes : faults.failing_writes) = rng.between(1, 4);
      faults.flushes_let_go = rng.one_in(2);
      world.runtime().run_for(rng.between(1, 30) * millisecond_ns);
    }
    const bool power = rng.one_in(2);
    bool let_go = false;
    for (u32 i = 0; i < members; ++i) let_go = let_go || world.device(i).let_go();
    // A kill takes nothing that was answered, but for what a flush that failed let go of.
    const u64 least = power || let_go ? story.flushed : story.answered;
    for (auto& handle : handles) static_cast<void>(handle.release());
    power ? world.lose_power() : world.kill();
    const Status opened = world.open();
    ASSERT_TRUE(opened) << opened.error().message;
    const u64 number = stands_behind(world, story, least);
    if (testing::Test::HasFailure()) return;
    story.writes.resize(number);
    story.answered = story.flushed = number;
    story.failed = false;
    if (rng.one_in(3)) world.sync();
  }
}

TEST(Members, AnyCrashLeavesAllDisksAtOneMoment) {
  for (u64 seed = 1; seed <= 8; ++seed) crash_again_and_again(seed, 2 + seed % 2, false);
}

TEST(Members, AFlushOrAWriteThatOneDiskLosesTakesNothingThatWasPromised) {
  for (u64 seed = 1001; seed <= 1008; ++seed) crash_again_and_again(seed, 2 + seed % 3, true);
}

TEST(Members, APoolOnSeveralDisksClosesAndOpens) {
  World world({.members = 3});
  ASSERT_TRUE(world.open());
  make_sample(world);
  ASSERT_TRUE(world.open());
  const PoolStatus status = world.engine().status();
  EXPECT_EQ(status.members.size(), 3u);
  EXPECT_EQ(status.size, 63 * MiB);
  for (u32 i = 0; i < 3; ++i) EXPECT_GT(world.disk(i).size, label_area_bytes + MiB);
  world.remove("twin");
  world.kill();
  ASSERT_TRUE(world.open());
}

TEST(Members, GrowingGivesEachDiskMoreWhateverMomentTheProcessDiesIn) {
  for (u64 seed = 1; seed <= 6; ++seed) {
    World world({.seed = seed, .pool_size = 32 * MiB, .members = 2});
    ASSERT_TRUE(world.open());
    world.create("db", 64 * MiB);
    world.sync();
    Status grown = Error{Code::cancelled, "not yet"};
    const auto grow = [](EngineCore& engine, Status& out) -> Task<void> { out = co_await engine.pool_grow(48 * MiB); };
    start(grow(world.engine(), grown));
    world.runtime().run_for(seed * 30 * microsecond_ns);
    const bool answered = grown.ok();
    seed % 2 == 0 ? world.lose_power() : world.kill();
    ASSERT_TRUE(world.open());
    const u64 size = world.engine().status().size;
    EXPECT_TRUE(size == 48 * MiB || (!answered && size == 32 * MiB)) << size;
    const Status again = world.run(world.engine().pool_grow(48 * MiB));
    EXPECT_TRUE(again) << again.error().message;
    for (u64 at = 0; at < 36 * MiB; at += MiB) world.write("db", at, pattern(at + 1, MiB));
    world.kill();
    ASSERT_TRUE(world.open());
    for (u64 at = 0; at < 36 * MiB; at += MiB) EXPECT_EQ(world.read("db", at, MiB), pattern(at + 1, MiB));
    EXPECT_GT(world.disk(0).size, 17 * MiB);
    EXPECT_GT(world.disk(1).size, 17 * MiB);
  }
}

TEST(Members, AHostThatIsFullUnderOneDiskRefusesWritesAndServesEverythingElse) {
  World world({.pool_size = 64 * MiB, .members = 2});
  ASSERT_TRUE(world.open());
  world.create("db", 64 * MiB);
  world.runtime().run_for(second_ns);  // the reserve is there
  world.device(1).faults().host_full = true;
  Status status;
  u64 at = 0;
  for (; at < 64 * MiB && status; at += MiB) {
    const std::string bytes = pattern(at + 1, MiB);
    const auto to = world.handle("db");
    status = world.run(to->write(at, std::as_bytes(std::span(bytes)), false));
  }
  EXPECT_EQ(status.code(), Code::no_space);
  EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
  EXPECT_EQ(world.read("db", 0, MiB), pattern(1, MiB));
  world.remove("db");
  world.sync();
  world.create("new", 4 * MiB);
  world.write("new", 0, pattern(7, MiB));
  world.kill();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.read("new", 0, MiB), pattern(7, MiB));
}

TEST(Members, ASuperblockOfAnotherPoolIsRefused) {
  World world({.verify_one_in = 0, .members = 2});
  ASSERT_TRUE(world.open());
  world.close();
  World other({.seed = 2, .verify_one_in = 0, .members = 2});
  ASSERT_TRUE(other.open());
  other.close();
  // The first of the addresses behind the label, copied from there to here: both superblocks.
  for (u64 at : {u64{0}, superblock_b_offset}) {
    const u64 block = (label_area_bytes + at) / block_size;
    world.disk(0).blocks[block] = other.disk(0).blocks[block];
  }
  const Status opened = world.open();
  ASSERT_EQ(opened.code(), Code::corrupt);
  EXPECT_NE(opened.error().message.find("labelled as pool"), std::string::npos) << opened.error().message;
}

}  // namespace
}  // namespace brindle::model
