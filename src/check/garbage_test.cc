// garbage_test.cc: whatever bytes a device has, the verifier ends, and says something sensible or nothing.
#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

/// The sample, made once: these tests copy it.
SimDisk& sample() {
  static World world({.verify_one_in = 0});
  static const bool made = [] {
    EXPECT_TRUE(world.open());
    make_sample(world);
    // Chunks that were only filled need not be copied each time.
    std::erase_if(world.disk().blocks, [](const auto& item) {
      return std::all_of(item.second.begin(), item.second.end(), [](std::byte byte) { return byte == std::byte{0}; });
    });
    return true;
  }();
  EXPECT_TRUE(made);
  return world.disk();
}

/// Bytes changed here and there.
void mutate(Rng& rng, std::vector<std::byte>& bytes) {
  for (u64 changes = rng.between(1, 4); changes > 0 && !bytes.empty(); --changes) {
    const u64 at = rng.below(bytes.size());
    switch (rng.below(5)) {
      case 0: bytes[at] ^= static_cast<std::byte>(1 << rng.below(8)); break;
      case 1: bytes[at] = static_cast<std::byte>(rng.next()); break;
      case 2: bytes[at] = std::byte{0xff}; break;
      case 3: {
        const u64 from = rng.below(bytes.size());
        const u64 length = std::min({rng.between(1, 32), bytes.size() - at, bytes.size() - from});
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), length, bytes.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      }
      default:
        if (rng.one_in(3)) bytes.resize(rng.below(bytes.size()) + 1);
    }
  }
}

TEST(Garbage, RandomDevices) {
  for (u64 seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    SimDisk disk(16 * MiB);
    disk.size = rng.below(40) * block_size;
    for (u64 block = 0; block < disk.size / block_size; ++block) {
      std::string bytes = pattern(seed * 1000 + block, block_size);
      disk.blocks[block].assign(reinterpret_cast<std::byte*>(bytes.data()), reinterpret_cast<std::byte*>(bytes.data()) + block_size);
    }
    const auto report = verify_disk(disk);
    EXPECT_FALSE(report);
    EXPECT_EQ(report.code(), Code::invalid);
  }
}

TEST(Garbage, SuperblocksOfNonsenseOverRandomBytes) {
  for (u64 seed = 1; seed <= 1500; ++seed) {
    Rng rng(seed);
    SimDisk disk(16 * MiB);
    disk.size = rng.between(17, 600) * block_size;
    Superblock super;
    super.chunk_size = chunk_size_min << rng.below(3);
    const auto number = [&] { return rng.one_in(4) ? rng.next() : rng.below(disk.size * 2); };
    super.segment_limit = number();
    super.checkpoint_number = number();
    super.root_offset = number();
    super.root_length = static_cast<u32>(number());
    super.root_crc = static_cast<u32>(number());
    super.log_segment = number();
    super.log_base = rng.one_in(2) ? number() : round_down(number(), block_size);
    super.log_slot = static_cast<u32>(number());
    super.flushed_number = number();
    seal_superblock(super);
    std::vector<std::byte> block(block_size);
    std::memcpy(block.data(), &super, sizeof super);
    disk.blocks[rng.one_in(2) ? 0 : superblock_b_offset / block_size] = block;
    const auto report = verify_disk(disk);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_FALSE(report->clean()) << "seed " << seed;
  }
}

TEST(Garbage, TablesWithRightChecksums) {
  u64 found = 0;
  for (u64 seed = 1; seed <= 1200; ++seed) {
    Rng rng(seed);
    SimDisk disk = sample();
    Image image(disk);
    image.save([&](std::vector<RawBucket>& buckets) {
      for (u64 i = rng.between(1, 2); i > 0; --i) mutate(rng, buckets[rng.below(buckets.size())].bytes);
      if (rng.one_in(10)) buckets[rng.below(buckets.size())].key = rng.below(1000);
    });
    const auto report = verify_disk(disk, {.read_data = false});
    ASSERT_TRUE(report) << report.error().message;
    found += report->clean() ? 0 : 1;
  }
  EXPECT_GT(found, 1000u);  // labels and times may be anything
}

TEST(Garbage, PagesWithRightChecksums) {
  u64 found = 0;
  for (u64 seed = 1; seed <= 400; ++seed) {
    Rng rng(seed);
    SimDisk disk = sample();
    Image image(disk);
    u64 picked = 0;
    bool changed = false;
    image.edit_page_bytes([&](const PageRef& ref, std::vector<std::byte>& bytes) {
      if (!rng.one_in(12) || picked > 2) return false;
      ++picked;
      const auto before = bytes;
      mutate(rng, bytes);
      bytes.resize(std::min<u64>(bytes.size(), ref.length));
      changed = changed || bytes != before;
      return true;
    });
    image.save();
    const auto report = verify_disk(disk, {.read_data = true});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(changed || report->clean()) << "seed " << seed;
    found += report->clean() ? 0 : 1;
  }
  EXPECT_GT(found, 200u);
}

TEST(Garbage, BlocksSwappedWithOthers) {
  for (u64 seed = 1; seed <= 300; ++seed) {
    Rng rng(seed);
    SimDisk disk = sample();
    for (u64 i = rng.between(1, 5); i > 0; --i) {
      const u64 to = rng.below(disk.size / block_size);
      const u64 from = rng.below(disk.size / block_size);
      disk.blocks[from].resize(block_size);
      disk.blocks[to] = disk.blocks[from];
    }
    const auto report = verify_disk(disk);
    EXPECT_TRUE(report.ok() || report.code() == Code::corrupt || report.code() == Code::invalid);
  }
}

TEST(Garbage, TruncatedDevices) {
  for (u64 size = 0; size <= sample().size; size += 32 * block_size) {
    SimDisk disk = sample();
    disk.size = size;
    const auto report = verify_disk(disk);
    if (size < superblock_b_offset + block_size) {
      EXPECT_EQ(report.code(), Code::invalid);
    } else {
      ASSERT_TRUE(report);
      EXPECT_EQ(report->clean(), size == sample().size) << "at " << size;
    }
  }
}

TEST(Garbage, ADeviceThatFailsNowAndThen) {
  for (u64 seed = 1; seed <= 60; ++seed) {
    SimDisk disk = sample();
    SimRuntime runtime(seed);
    SimDevice device(runtime, disk, seed, {.read_error_one_in = 12});
    std::optional<Result<CheckReport>> out;
    const auto body = [](Runtime& on, Device& of, std::optional<Result<CheckReport>>& to) -> Task<void> {
      auto report = co_await verify(on, of, {}, nullptr);
      to.emplace(std::move(report));
    };
    runtime.run(body(runtime, device, out));
    if (!out->ok()) {
      EXPECT_EQ(out->code(), Code::io);
      continue;
    }
    for (const CheckDamage& damage : (*out)->damage) {
      EXPECT_TRUE(damage.kind == "io" || damage.kind == "superblock" || damage.kind == "table" || damage.kind == "map") << damage.kind;
    }
  }
}

TEST(Garbage, TheCallerCanEndIt) {
  VerifyProgress progress;
  progress.stop = true;
  const auto report = verify_disk(sample(), {}, &progress);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.code(), Code::cancelled);
}

TEST(Garbage, TellsHowFarItHasCome) {
  VerifyProgress progress;
  const auto report = verify_disk(sample(), {}, &progress);
  ASSERT_TRUE(report);
  EXPECT_EQ(progress.done, report->bytes);
  EXPECT_GE(progress.total, report->blocks * block_size);
}

}  // namespace
}  // namespace brindle::model
