// fault_test.cc: what the device refuses, and what the engine makes of it.
#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

class FaultTest : public testing::Test {
 protected:
  FaultTest() : world({.verify_one_in = 0}) {  // some of these tests leave damage behind on purpose
    EXPECT_TRUE(world.open());
    world.create("db", 16 * MiB);
  }
  Status write(u64 offset, u64 stamp, bool fua = false) {
    const std::string bytes = pattern(stamp, 64 * KiB);
    const auto to = world.handle("db");
    return world.run(to->write(offset, std::as_bytes(std::span(bytes)), fua));
  }
  Status read(u64 offset, u64 length) {
    const auto from = world.handle("db", true);
    std::string bytes(length, '?');
    return world.run(from->read(offset, std::as_writable_bytes(std::span(bytes))));
  }
  void expect(u64 offset, u64 stamp) { EXPECT_EQ(world.read("db", offset, 64 * KiB), pattern(stamp, 64 * KiB)); }
  /// The device's address of the block that holds these bytes.
  u64 find(const std::string& bytes) {
    for (const auto& [number, block] : world.disk().blocks) {
      if (std::memcmp(block.data(), bytes.data(), block_size) == 0) return number;
    }
    ADD_FAILURE() << "no block of the device holds it";
    return 0;
  }
  World world;
};

TEST_F(FaultTest, ErrorsThatPassCostNothing) {
  EXPECT_TRUE(write(0, 1));
  world.device().faults().failing_writes = 1;
  EXPECT_TRUE(write(64 * KiB, 2));
  world.device().faults().failing_reads = 1;
  expect(0, 1);
  world.device().faults().failing_writes = 1;
  world.sync();
  expect(64 * KiB, 2);
  EXPECT_EQ(world.engine().status().health, "ok");
}

/// A pool whose leaves are on the device alone, and the overwritten blocks of one of them not yet settled.
class DebtTest : public testing::Test {
 protected:
  DebtTest() : world({.verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    world.create("db", 16 * MiB);
    for (u64 i = 0; i < 16; ++i) world.write("db", i * 256 * KiB, pattern(i, 256 * KiB));
    world.sync();
    world.close();
    EXPECT_TRUE(world.open());
    live = world.engine().live_blocks();
    for (u64 i = 0; i < 8; ++i) world.write("db", i * 3 * block_size, pattern(100 + i, block_size));
  }
  void fail_reads(bool on) { world.device().faults().read_error_one_in = on ? 1 : 0; }
  Status checkpoint() { return world.run(world.engine().sync()); }
  void expect_clean() {
    const auto report = world.verify();
    ASSERT_TRUE(report);
    for (const CheckDamage& damage : report->damage) ADD_FAILURE() << damage.kind << ": " << damage.note;
  }
  /// Entries of the largest patch on the disk, which no engine has open.
  size_t largest_patch() {
    size_t most = 0;
    Image(world.disk()).edit_pages([&](EditedPage& page) {
      if (const auto* patch = std::get_if<PatchData>(&page.page)) most = std::max(most, patch->names.size());
      return false;
    });
    return most;
  }
  void rest(u64 ns) {
    world.runtime().run([](SimRuntime& runtime, u64 for_ns) -> Task<void> { co_await runtime.sleep(for_ns); }(world.runtime(), ns));
  }
  World world;
  u64 live = 0;
};

TEST_F(DebtTest, AnErrorThatPassesWithinASecondDelaysACheckpointAndCostsNothing) {
  EXPECT_EQ(world.engine().live_blocks(), live + 8) << "nothing has read the leaf yet";
  world.device().faults().failing_reads = 6;
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint());
  EXPECT_GT(world.runtime().now_ns() - began_ns, 50 * millisecond_ns) << "it rests between two tries";
  EXPECT_EQ(world.engine().live_blocks(), live);
  EXPECT_EQ(world.engine().status().health, "ok");
  world.close();
  expect_clean();
}

TEST_F(DebtTest, OneThatLastsHoldsNobodyUpAndIsToldAndMendedLater) {
  fail_reads(true);
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint()) << "what a checkpoint writes is all in memory";
  EXPECT_LT(world.runtime().now_ns() - began_ns, 2 * second_ns);
  EXPECT_EQ(world.engine().live_blocks(), live + 8);
  EXPECT_NE(world.engine().status().health.find("1 pages"), std::string::npos) << world.engine().status().health;
  // More of the same leaf: a checkpoint does not wait for it a second time.
  for (u64 i = 0; i < 4; ++i) world.write("db", (100 + i) * block_size, pattern(200 + i, block_size));
  const u64 again_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint());
  EXPECT_LT(world.runtime().now_ns() - again_ns, 100 * millisecond_ns);
  const u64 reads = world.device().reads();
  rest(60 * second_ns);
  EXPECT_LT(world.device().reads() - reads, 100u) << "it rests longer and longer";
  fail_reads(false);
  rest(130 * second_ns);
  EXPECT_EQ(world.engine().live_blocks(), live) << "nobody had to ask";
  EXPECT_EQ(world.engine().status().health, "ok");
  world.close();
  expect_clean();
}

TEST_F(DebtTest, ALeafThatIsLetGoMeanwhileKeepsItsPlaceUntilItIsRead) {
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  world.write("db", 0, pattern(300, 2 * MiB));  // all of the leaf
  EXPECT_TRUE(checkpoint());
  // Nothing may be written where the leaf is.
  for (u64 i = 0; i < 64; ++i) {
    world.write("db", 8 * MiB + i % 16 * 256 * KiB, pattern(400 + i, 256 * KiB));
    EXPECT_TRUE(checkpoint());
  }
  fail_reads(false);
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().status().health, "ok");
  EXPECT_EQ(world.engine().live_blocks(), live + 4 * MiB / block_size);
  EXPECT_EQ(world.read("db", 0, 2 * MiB), pattern(300, 2 * MiB));
  world.close();
  expect_clean();
}

TEST_F(DebtTest, APatchThatGrowsOverALeafThatIsNotInMemoryBecomesALeaf) {
  const auto block_of = [](u64 round, u64 i) { return (round * 8 + i) * 3 * block_size; };
  EXPECT_TRUE(checkpoint());
  for (u64 round = 1; round < 16; ++round) {
    // Every other time the patch is in memory, and what it stands over is not; else neither is.
    world.close();
    ASSERT_TRUE(world.open());
    if (round % 2 == 0) {
      EXPECT_EQ(world.read("db", block_of(0, 0), block_size), pattern(100, block_size));
    }
    for (u64 i = 0; i < 8; ++i) world.write("db", block_of(round, i), pattern(100 + round * 8 + i, block_size));
    // A device that does not read just then only puts it off.
    const bool fails = round == 9 || round == 10;
    fail_reads(fails);
    EXPECT_TRUE(checkpoint());
    fail_reads(false);
    EXPECT_TRUE(checkpoint());
    EXPECT_EQ(world.engine().live_blocks(), live);
    EXPECT_EQ(world.engine().status().health, "ok");
  }
  world.close();
  EXPECT_LE(largest_patch(), 64u);
  expect_clean();
  ASSERT_TRUE(world.open());
  for (u64 round = 0; round < 16; ++round) {
    for (u64 i = 0; i < 8; ++i) {
      EXPECT_EQ(world.read("db", block_of(round, i), block_size), pattern(100 + round * 8 + i, block_size));
    }
  }
  world.remove("db");
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  world.close();
  expect_clean();
}

TEST_F(DebtTest, APatchThatOnlyWantsToBecomeALeafStaysOneWhereThatCannotBeRead) {
  for (u64 i = 8; i < 80; ++i) world.write("db", i * 3 * block_size, pattern(100 + i, block_size));
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  fail_reads(false);
  EXPECT_TRUE(checkpoint());  // what it hides is settled, and it is on the device as it is
  EXPECT_EQ(world.engine().live_blocks(), live);
  world.close();
  EXPECT_EQ(largest_patch(), 80u);
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.read("db", 0, block_size), pattern(100, block_size));  // now it is in memory, and its leaf is not
  world.write("db", 0, pattern(300, block_size));
  fail_reads(true);
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(checkpoint());
  EXPECT_LT(world.runtime().now_ns() - began_ns, 2 * second_ns);
  EXPECT_EQ(world.engine().status().health, "ok") << "nothing is owed";
  fail_reads(false);
  world.write("db", 0, pattern(301, block_size));
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live);
  EXPECT_EQ(world.read("db", 0, block_size), pattern(301, block_size));
  EXPECT_EQ(world.read("db", 79 * 3 * block_size, block_size), pattern(179, block_size));
  world.close();
  EXPECT_LE(largest_patch(), 64u);
  expect_clean();
}

TEST_F(DebtTest, APatchOverOneThatCannotBeReadKeepsWhatIsBelow) {
  EXPECT_TRUE(checkpoint());  // the first patch is on the device now
  world.close();
  ASSERT_TRUE(world.open());
  world.write("db", 1 * block_size, pattern(500, block_size));  // over a patch that is not in memory
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  fail_reads(false);
  const auto expect = [&] {
    EXPECT_EQ(world.read("db", 1 * block_size, block_size), pattern(500, block_size));
    for (u64 i = 1; i < 8; ++i) EXPECT_EQ(world.read("db", i * 3 * block_size, block_size), pattern(100 + i, block_size));
    EXPECT_EQ(world.read("db", 2 * block_size, block_size), pattern(0, 256 * KiB).substr(2 * block_size, block_size));
  };
  expect();
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live);
  world.close();
  expect_clean();
  ASSERT_TRUE(world.open());
  expect();
  // And all of it comes back: overwritten under a snapshot, and deleted.
  world.snapshot("db@s");
  world.write("db", 5 * block_size, pattern(501, block_size));
  EXPECT_TRUE(checkpoint());
  world.remove("db@s");
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live);
  expect();
  world.remove("db");
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  world.close();
  expect_clean();
}

TEST_F(DebtTest, APoolThatClosesWaitsForNoDevice) {
  fail_reads(true);
  const u64 began_ns = world.runtime().now_ns();
  EXPECT_TRUE(world.run(world.engine().close()));
  EXPECT_LT(world.runtime().now_ns() - began_ns, 1 * second_ns);
  world.kill();
}

TEST_F(DebtTest, ADeletionWaitsForADeviceThatDoesNotReadAndGoesOnByItself) {
  EXPECT_TRUE(checkpoint());
  world.close();
  ASSERT_TRUE(world.open());
  fail_reads(true);
  world.remove("db");
  EXPECT_TRUE(checkpoint());
  EXPECT_GT(world.engine().live_blocks(), 0u);
  EXPECT_NE(world.engine().status().health.find("1 deletions"), std::string::npos) << world.engine().status().health;
  fail_reads(false);
  rest(5 * second_ns);
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  EXPECT_EQ(world.engine().status().health, "ok");
  world.close();
  expect_clean();
}

TEST_F(DebtTest, WhatIsOwedOutlivesAPowerLossWhileTheDeviceDoesNotRead) {
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  world.write("db", 0, pattern(300, 2 * MiB));  // all of the leaf: it is let go
  EXPECT_TRUE(checkpoint());
  fail_reads(false);
  world.lose_power();
  expect_clean();
  ASSERT_TRUE(world.open());
  EXPECT_NE(world.engine().status().health.find("1 pages"), std::string::npos) << world.engine().status().health;
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().status().health, "ok");
  EXPECT_EQ(world.engine().live_blocks(), live);
  EXPECT_EQ(world.read("db", 0, 2 * MiB), pattern(300, 2 * MiB));
  world.close();
  expect_clean();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.engine().status().health, "ok") << "settled once, and not again";
  EXPECT_EQ(world.engine().live_blocks(), live);
}

TEST_F(DebtTest, ACloneWritesOverAPatchThatCannotBeRead) {
  EXPECT_TRUE(checkpoint());
  world.snapshot("db@s");
  world.clone("db@s", "dev");
  EXPECT_TRUE(checkpoint());
  world.close();
  ASSERT_TRUE(world.open());
  for (const char* volume : {"db", "dev"}) world.write(volume, 0, pattern(0, block_size));  // nodes come in
  EXPECT_TRUE(checkpoint());
  world.close();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(world.read("db", 12 * MiB, block_size), std::string(block_size, '\0'));
  EXPECT_EQ(world.read("dev", 12 * MiB, block_size), std::string(block_size, '\0'));
  world.snapshot("dev@t");
  world.clone("dev@t", "other");
  EXPECT_EQ(world.read("other", 12 * MiB, block_size), std::string(block_size, '\0'));
  world.write("dev", 1 * block_size, pattern(700, block_size));  // over the patch that both share
  fail_reads(true);
  EXPECT_TRUE(checkpoint());
  world.write("other", 2 * block_size, pattern(701, block_size));
  EXPECT_TRUE(checkpoint()) << "a patch over one that stalled";
  fail_reads(false);
  world.lose_power();
  expect_clean();
  ASSERT_TRUE(world.open());
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().status().health, "ok");
  EXPECT_EQ(world.read("dev", 1 * block_size, block_size), pattern(700, block_size));
  EXPECT_EQ(world.read("other", 2 * block_size, block_size), pattern(701, block_size));
  EXPECT_EQ(world.read("other", 3 * block_size, block_size), pattern(101, block_size));
  for (const char* name : {"other", "dev@t", "dev", "db@s", "db"}) world.remove(name);
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), 0u);
  world.close();
  expect_clean();
}

TEST_F(DebtTest, ADamagedLeafEndsItsDebtsAndIsTold) {
  world.close();
  Image image(world.disk());
  image.edit_pages([&](EditedPage& page) {
    if (std::holds_alternative<LeafData>(page.page) && page.first == 0) image.flip(*image.locate(page.ref.name) + 100);
    return false;
  });
  ASSERT_TRUE(world.open());
  for (u64 i = 0; i < 4; ++i) world.write("db", (100 + i) * block_size, pattern(600 + i, block_size));
  EXPECT_TRUE(checkpoint());
  EXPECT_EQ(world.engine().live_blocks(), live + 4);
  EXPECT_NE(world.engine().status().health.find("damage: up to 16384 bytes"), std::string::npos) << world.engine().status().health;
  for (u64 i = 0; i < 4; ++i) EXPECT_EQ(world.read("db", (100 + i) * block_size, block_size), pattern(600 + i, block_size));
  world.close();
}

TEST_F(FaultTest, AWriteThatFailsLatchesThePoolAndLosesNothingAcknowledged) {
  EXPECT_TRUE(write(0, 1));
  world.device().faults().write_error_one_in = 1;
  EXPECT_EQ(write(64 * KiB, 2).code(), Code::io);
  EXPECT_FALSE(world.engine().status().writable);
  expect(0, 1);
  EXPECT_EQ(write(0, 3).code(), Code::read_only);
  std::vector<std::string> names{"db@s"};
  EXPECT_EQ(world.run(world.engine().snapshot_create(std::move(names), {})).code(), Code::read_only);
  world.close();
  ASSERT_TRUE(world.open());
  expect(0, 1);
  EXPECT_TRUE(write(0, 3));
}

TEST_F(FaultTest, AFlushThatFailsIsToldToAllWhoWaitForIt) {
  EXPECT_TRUE(write(0, 1));
  world.device().faults().failing_flushes = 1;
  EXPECT_EQ(write(64 * KiB, 2, true).code(), Code::io);
  EXPECT_FALSE(world.engine().status().writable);
  const auto handle = world.handle("db");
  EXPECT_EQ(world.run(handle->flush()).code(), Code::io);
  expect(0, 1);
}

/// Linux tells of a failed flush once, to one who asks.
TEST(FlushTest, ACheckpointThatRunsBesideAFlushThatFailsIsNotTakenForDurable) {
  for (u64 seed = 1; seed <= 40; ++seed) {
    World world({.seed = seed, .verify_one_in = 0});
    ASSERT_TRUE(world.open());
    world.create("db", 16 * MiB);
    world.sync();
    world.write("db", 0, pattern(1, 64 * KiB));
    world.device().faults().failing_flushes = 1;
    world.device().faults().flushes_let_go = true;
    const auto handle = world.handle("db");
    Gate gate(world.runtime());
    gate.spawn([](World& in, Handle& to, u64 after) -> Task<void> {
      co_await in.runtime().sleep(after);
      static_cast<void>(co_await to.flush());
    }(world, *handle, seed * 5 * microsecond_ns));
    static_cast<void>(world.run(world.engine().sync()));
    world.runtime().run(gate.close());
    EXPECT_FALSE(world.engine().status().writable);
    world.kill();
    const auto report = world.verify();
    ASSERT_TRUE(report) << report.error().message;
    for (const CheckDamage& damage : report->damage) ADD_FAILURE() << "seed " << seed << ": " << damage.kind << " " << damage.note;
    ASSERT_TRUE(world.open());
    EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
    world.kill();
  }
}

TEST_F(FaultTest, ABadBlockCostsItsFourKibibytesAloneAndIsMendedByAWrite) {
  EXPECT_TRUE(write(0, 1));
  world.snapshot("db@s");
  world.sync();
  const u64 bad = find(pattern(1, 64 * KiB).substr(8192, block_size));
  world.device().faults().bad_blocks.insert(bad);
  EXPECT_EQ(read(8192, 4096).code(), Code::io);
  EXPECT_TRUE(read(0, 8192));
  EXPECT_TRUE(read(12288, 4096));
  auto damage = world.run(world.engine().scrub(nullptr));
  ASSERT_TRUE(damage);
  ASSERT_EQ(damage->size(), 2u);
  EXPECT_EQ((*damage)[0].volume, "db");
  EXPECT_EQ((*damage)[1].volume, "db@s");
  EXPECT_EQ((*damage)[0].offset, 8192u);
  EXPECT_EQ((*damage)[0].length, 4096u);
  EXPECT_EQ((*damage)[0].kind, "io");
  EXPECT_TRUE(write(0, 2));
  expect(0, 2);
}

TEST_F(FaultTest, AWriteOfSeveralPartsFailsWhicheverOfThemFails) {
  for (u64 offset = 0; offset < 1 * MiB; offset += 64 * KiB) EXPECT_TRUE(write(offset, 100 + offset));
  world.sync();
  const u64 block = find(pattern(100, 64 * KiB).substr(0, block_size));
  world.disk().blocks[block][17] ^= std::byte{1};
  world.plant_damage();
  const std::string bytes = pattern(7, 800 * KiB);
  const auto to = world.handle("db");
  // The block at the front cannot be read, and the one at the end can: in any order.
  for (int round = 0; round < 30; ++round) {
    EXPECT_EQ(world.run(to->write(100, std::as_bytes(std::span(bytes)), false)).code(), Code::corrupt);
  }
}

TEST_F(FaultTest, RotIsNeverReturnedAsData) {
  EXPECT_TRUE(write(0, 1));
  world.sync();
  const u64 block = find(pattern(1, 64 * KiB).substr(0, block_size));
  world.disk().blocks[block][17] ^= std::byte{1};
  world.plant_damage();
  EXPECT_EQ(read(0, 4096).code(), Code::corrupt);
  EXPECT_TRUE(read(4096, 4096));
  world.kill();
  ASSERT_TRUE(world.open());
  EXPECT_EQ(read(0, 4096).code(), Code::corrupt);
  EXPECT_TRUE(write(1 * MiB, 2));
}

TEST_F(FaultTest, AFullHostRefusesWritesAndServesEverythingElse) {
  world.runtime().run_for(second_ns);  // the reserve is there
  world.device().faults().host_full = true;
  Status status;
  u64 written = 0;
  for (; written < 1000 && status; ++written) {
    status = write(written % 10 * 64 * KiB, 1000 + written);
    if (written % 10 == 9 && status) {
      const std::string name = "db@" + std::to_string(written);
      world.snapshot(name);
    }
  }
  ASSERT_FALSE(status) << "it never became full";
  EXPECT_EQ(status.code(), Code::no_space);
  --written;
  EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
  for (u64 i = written - 10; i < written; ++i) expect(i % 10 * 64 * KiB, 1000 + i);
  const auto handle = world.handle("db");
  EXPECT_TRUE(world.run(handle->flush()));
  for (u64 i = 9; i < written; i += 10) world.remove("db@" + std::to_string(i));
  world.sync();
  EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
  for (u64 i = 0; i < 20; ++i) EXPECT_TRUE(write(i * 64 * KiB, 5000 + i)) << i;
  world.kill();
  ASSERT_TRUE(world.open());
  for (u64 i = 0; i < 20; ++i) expect(i * 64 * KiB, 5000 + i);
}

/// Many long writes at once find a successor of the log's segment, which the first of them use up.
TEST(FullHostTest, ABurstOfWritesLeavesTheChunksThatTheNextOpeningNeeds) {
  for (u64 seed = 1; seed <= 20; ++seed) {
    World world({.seed = seed, .pool_size = 40 * MiB});
    ASSERT_TRUE(world.open());
    world.create("db", 16 * MiB);
    world.runtime().run_for(10 * second_ns);  // the reserve is there
    world.fill_host();
    const std::string bytes = pattern(1, MiB);
    const auto to = world.handle("db");
    Gate gate(world.runtime());
    for (u64 i = 0; i < 16; ++i) {
      gate.spawn([](Handle& in, u64 offset, const std::string& what) -> Task<void> {
        static_cast<void>(co_await in.write(offset, std::as_bytes(std::span(what)), false));
      }(*to, i * MiB, bytes));
    }
    world.runtime().run(gate.close());
    world.kill();
    const Status opened = world.open();
    ASSERT_TRUE(opened) << opened.error().message;
    world.sync();
    EXPECT_EQ(world.engine().status().health, "ok");
    world.kill();
  }
}

TEST_F(FaultTest, APoolThatLatchesWhileAFullHostRefusesItsNextChunksCloses) {
  for (u64 seed = 0; seed < 40; ++seed) {
    World young({.seed = seed, .verify_one_in = 0});
    ASSERT_TRUE(young.open());
    young.device().faults().failing_writes = 10;
    young.device().faults().host_full = true;
    EXPECT_EQ(young.run(young.engine().volume_create("db", 4096, {})).code(), Code::io);
    young.close();  // or the runtime tells that everything waits
  }
}

TEST_F(FaultTest, CompactionGoesRoundWhatItCannotRead) {
  // Every second block of many chunks dies, and one that lives cannot be read.
  for (u64 i = 0; i < 200; ++i) ASSERT_TRUE(write(i % 256 * 64 * KiB, 1 + i));
  const u64 bad = find(pattern(11, 64 * KiB).substr(0, block_size));
  world.device().faults().bad_blocks.insert(bad);
  Status status;
  for (u64 i = 0; i < 4000 && status; ++i) {
    if (i % 200 != 10) status = write(i % 200 * 64 * KiB, 9000 + i);
  }
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_EQ(read(10 * 64 * KiB, 4096).code(), Code::io);
}

}  // namespace
}  // namespace brindle::model
