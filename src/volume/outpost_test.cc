// outpost_test.cc: volumes used from two cores at once.
#include "volume/outpost.h"

#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "base/rng.h"
#include "device/memory_device.h"
#include "runtime/core_test.h"
#include "runtime/remote.h"
#include "runtime/sync.h"
#include "volume/engine.h"

namespace brindle {

namespace {

constexpr u64 volume_bytes = 16 * MiB;
constexpr u64 group_blocks = 4;  // written at once, so seen at once
constexpr u64 group_bytes = group_blocks * block_size;
constexpr u64 lanes = 8;
constexpr u64 groups_a_lane = volume_bytes / group_bytes / lanes;

/// An engine in memory at home, with volumes a and b, and another core with an outpost.
class OutpostTest : public testing::Test {
 protected:
  explicit OutpostTest(u64 pool_bytes = 512 * MiB) : device_(pool_bytes) {
    const auto open = [this] { return Engine::open(home(), device_, {.create = true, .memory_max = 32 * MiB}); };
    engine_ = call_blocking(home(), open).value();
    for (const char* name : {"a", "b"}) {
      const auto make = [this, name] { return engine_->volume_create(name, volume_bytes, {}); };
      EXPECT_TRUE(call_blocking(home(), make).ok());
    }
    outpost_ = engine_->outpost(other());
  }
  ~OutpostTest() override {
    const auto leave = [this] { return outpost_->close(); };
    EXPECT_TRUE(call_blocking(other(), leave).ok());
    const auto close = [this] { return engine_->close(); };
    EXPECT_TRUE(call_blocking(home(), close).ok());
    ask_blocking(home(), [this] { return engine_.reset(), true; });
  }

  Reactor& home() { return home_.reactor(); }
  Reactor& other() { return other_.reactor(); }
  std::unique_ptr<Handle> open(const std::string& name) {
    return ask_blocking(home(), [&] { return engine_->open_handle(name, false); }).value();
  }
  void give_back(std::unique_ptr<Handle> handle) {
    ask_blocking(home(), [&] { return handle.reset(), true; });
  }
  Status read_there(Handle& handle, u64 offset, MutBytes into) {
    return call_blocking(other(), [&] { return outpost_->read(handle, offset, into); });
  }
  Status write_there(Handle& handle, u64 offset, Bytes from, bool fua = false) {
    return call_blocking(other(), [&] { return outpost_->write(handle, offset, from, fua); });
  }

  Core home_;
  Core other_;
  MemoryDevice device_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Outpost> outpost_;
};

/// Each block of a group says whose it is, where, and which of the writes to the group it is of.
struct Stamp {
  u64 volume = 0;
  u64 group = 0;
  u64 turn = 0;
};

void stamp(MutBytes bytes, Stamp what) {
  std::memset(bytes.data(), 0, bytes.size());
  for (u64 block = 0; block < bytes.size(); block += block_size) {
    for (u64 at = 0; at + sizeof what <= block_size; at += 512) std::memcpy(bytes.data() + block + at, &what, sizeof what);
  }
}

/// The write that all of the group is of; nothing where it is of several, or no group at all.
std::optional<u64> turn_of(Bytes bytes, u64 volume, u64 group) {
  Stamp first;
  std::memcpy(&first, bytes.data(), sizeof first);
  const bool hole = first.volume == 0 && first.group == 0 && first.turn == 0;
  if (!hole && (first.volume != volume || first.group != group)) return std::nullopt;
  AlignedBuffer whole(bytes.size());
  whole.clear();
  if (!hole) stamp(whole.span(), first);
  if (std::memcmp(bytes.data(), whole.data(), bytes.size()) != 0) return std::nullopt;
  return first.turn;
}

/// The load of one core: lanes that write groups of their own, and read them back.
struct Work {
  Handle* handle = nullptr;
  Outpost* outpost = nullptr;  // none at home
  u64 volume = 0;
  u64 until_ns = 0;
  u64 requests = 0;
  u64 wrong = 0;
  Status status;

  Task<Status> read(u64 offset, MutBytes into) {
    return outpost != nullptr ? outpost->read(*handle, offset, into) : handle->read(offset, into);
  }
  Task<Status> write(u64 offset, Bytes from, bool fua) {
    return outpost != nullptr ? outpost->write(*handle, offset, from, fua) : handle->write(offset, from, fua);
  }
};

Task<void> run_lane(Reactor& core, Work& work, u64 lane) {
  AlignedBuffer buffer(group_bytes);
  buffer.clear();
  std::vector<u64> turns(groups_a_lane);
  Rng rng(lane + 100 * work.volume);
  for (u64 turn = 1; core.now_ns() < work.until_ns && work.status; ++turn) {
    const u64 of_lane = rng.below(groups_a_lane);
    const u64 group = of_lane * lanes + lane;
    if (rng.below(2) == 0) {
      stamp(buffer.span(), {work.volume, group, turn});
      const Bytes from = buffer.span();
      const Status status = co_await work.write(group * group_bytes, from, rng.below(64) == 0);
      if (!status) work.status = status;
      turns[of_lane] = turn;
    } else {
      const MutBytes into = buffer.span();
      const Status status = co_await work.read(group * group_bytes, into);
      if (!status) work.status = status;
      if (turn_of(into, work.volume, group) != turns[of_lane]) ++work.wrong;
      buffer.clear();
    }
    ++work.requests;
    co_await core.yield();
  }
}

Task<Status> run_work(Reactor& core, Work& work) {
  Gate gate(core);
  for (u64 lane = 0; lane < lanes; ++lane) gate.spawn(run_lane(core, work, lane));
  co_await gate.close();
  co_return work.status;
}

}  // namespace

TEST_F(OutpostTest, two_volumes_on_two_cores_use_both_while_snapshots_come_and_go) {
  auto a = open("a");
  auto b = open("b");
  const u64 until_ns = home().now_ns() + 2 * second_ns;
  Work here{a.get(), nullptr, 1, until_ns};
  Work there{b.get(), outpost_.get(), 2, until_ns};
  const u64 home_busy_ns = home().busy_ns();
  const u64 other_busy_ns = other().busy_ns();
  const auto run = [](Reactor& core, Work& work) {
    const Status status = call_blocking(core, [&] { return run_work(core, work); });
    EXPECT_TRUE(status.ok()) << status.error().message;
  };
  std::thread first([&] { run(home(), here); });
  std::thread second([&] { run(other(), there); });
  AlignedBuffer buffer(group_bytes);
  u64 snapshots = 0;
  for (; home().now_ns() < until_ns; ++snapshots) {
    const auto snap = [&] { return engine_->snapshot_create({"a@s", "b@s"}, {}); };
    ASSERT_TRUE(call_blocking(home(), snap).ok());
    auto frozen = open("b@s");
    for (u64 group = snapshots % 32; group < volume_bytes / group_bytes; group += 32) {
      ASSERT_TRUE(read_there(*frozen, group * group_bytes, buffer.span()).ok());
      const auto once = turn_of(buffer.span(), 2, group);
      EXPECT_TRUE(once) << "a torn write in a snapshot";
      ASSERT_TRUE(read_there(*frozen, group * group_bytes, buffer.span()).ok());
      EXPECT_EQ(turn_of(buffer.span(), 2, group), once);
    }
    give_back(std::move(frozen));
    const auto drop = [&] { return engine_->remove({"a@s", "b@s"}, false, false); };
    ASSERT_TRUE(call_blocking(home(), drop).ok());
  }
  first.join();
  second.join();
  EXPECT_EQ(here.wrong, 0u);
  EXPECT_EQ(there.wrong, 0u);
  EXPECT_GT(snapshots, 0u);
  EXPECT_GT(here.requests, 100u);
  EXPECT_GT(there.requests, 100u);
  const u64 home_share_ns = home().busy_ns() - home_busy_ns;
  const u64 other_share_ns = other().busy_ns() - other_busy_ns;
  EXPECT_GT(home_share_ns, (home_share_ns + other_share_ns) / 10);
  EXPECT_GT(other_share_ns, (home_share_ns + other_share_ns) / 10);
  const auto scrub = [&] { return engine_->scrub(nullptr); };
  const auto damage = call_blocking(home(), scrub);
  ASSERT_TRUE(damage.ok());
  EXPECT_TRUE(damage->empty());
  give_back(std::move(a));
  give_back(std::move(b));
}

TEST_F(OutpostTest, any_alignment_and_length_reads_what_was_written) {
  auto b = open("b");
  AlignedBuffer bytes(3 * MiB);
  Rng rng(7);
  for (u64 at = 0; at < bytes.size(); ++at) bytes.data()[at] = static_cast<std::byte>(rng.below(256));
  AlignedBuffer back(bytes.size());
  u64 at = 0;
  for (u64 size : {u64{4096}, 3 * MiB, u64{1}, u64{5000}, u64{256 * KiB}, u64{260 * KiB}, u64{1 * MiB + 512}}) {
    for (u64 skip : {u64{0}, u64{8192}, u64{100}}) {
      const Bytes from = Bytes(bytes.span()).first(std::min<u64>(size, bytes.size() - skip));
      ASSERT_TRUE(write_there(*b, at + skip, from, size == 1).ok());
      ASSERT_TRUE(read_there(*b, at + skip, back.span().first(from.size())).ok());
      EXPECT_EQ(std::memcmp(back.data(), from.data(), from.size()), 0) << size << " at " << skip;
    }
    at += 512 * KiB + 4096;
  }
  give_back(std::move(b));
}

TEST_F(OutpostTest, refuses_as_the_handle_does) {
  auto b = open("b");
  AlignedBuffer buffer(2 * MiB);
  buffer.clear();
  EXPECT_EQ(read_there(*b, volume_bytes, buffer.span()).code(), Code::invalid);
  EXPECT_EQ(write_there(*b, volume_bytes - 1 * MiB, buffer.span()).code(), Code::invalid);
  EXPECT_TRUE(read_there(*b, volume_bytes - 2 * MiB, buffer.span()).ok());
  const auto remove = [&] { return engine_->remove({"b"}, false, true); };
  ASSERT_TRUE(call_blocking(home(), remove).ok());
  EXPECT_EQ(read_there(*b, 0, buffer.span()).code(), Code::not_found);
  EXPECT_EQ(write_there(*b, 0, buffer.span()).code(), Code::not_found);
  give_back(std::move(b));
}

TEST_F(OutpostTest, damage_is_an_error_and_never_data) {
  auto b = open("b");
  AlignedBuffer block(block_size);
  stamp(block.span(), {2, 77, 1});
  ASSERT_TRUE(write_there(*b, 0, block.span()).ok());
  const auto spoil = [&]() -> Task<Status> {
    AlignedBuffer at(block_size);
    for (u64 offset = 0; offset < device_.size(); offset += block_size) {
      const MutBytes into = at.span();
      Device& device = device_;
      const Status read = co_await device.read(offset, into);
      if (!read) co_return read;
      if (std::memcmp(at.data(), block.data(), block_size) != 0) continue;
      at.data()[1234] ^= std::byte{1};
      co_return co_await device.write(offset, Bytes(into));
    }
    co_return Error{Code::not_found, "the block is not on the device"};
  };
  ASSERT_TRUE(call_blocking(home(), spoil).ok());
  EXPECT_EQ(read_there(*b, 0, block.span()).code(), Code::corrupt);
  AlignedBuffer more(64 * KiB);
  EXPECT_EQ(read_there(*b, 0, more.span()).code(), Code::corrupt);
  give_back(std::move(b));
}

}  // namespace brindle
