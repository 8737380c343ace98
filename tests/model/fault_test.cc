// fault_test.cc: what the device refuses, and what the engine makes of it.
#include <cstring>

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

TEST_F(FaultTest, AHostThatFailsIsNotTakenForAFullPool) {
  world.device().faults().host_fails = true;
  Status status;
  for (u64 i = 0; i < 1000 && status; ++i) {
    status = write(i % 10 * 64 * KiB, 1000 + i);
    if (i % 10 == 9 && status) world.snapshot("db@" + std::to_string(i));
  }
  ASSERT_FALSE(status) << "it never needed more of the host";
  EXPECT_EQ(status.code(), Code::io) << status.error().message;
  EXPECT_NE(status.error().message.find("simulated error of the host"), std::string::npos) << status.error().message;
  EXPECT_TRUE(world.engine().status().writable) << world.engine().status().health;
  world.device().faults().host_fails = false;
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
