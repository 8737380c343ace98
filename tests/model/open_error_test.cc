// open_error_test.cc: what can be wrong with a pool that is made or opened: it is told, and what can be read once it is mended is there.
#include <fmt/format.h>

#include "base/crc32c.h"
#include "model/image.h"
#include "model/trial.h"
#include "pool/labels.h"

namespace brindle::model {
namespace {

/// Why the engine does not open the disk; the code is `corrupt` in each of these tests.
std::string refusal(SimDisk& disk) {
  Trial trial(disk, 1, {});
  if (trial.opened) return "it was opened";
  EXPECT_EQ(trial.opened.code(), Code::corrupt);
  return trial.opened.error().message;
}

TEST(OpenErrorTest, AnErrorWhileAPoolIsMadeOrOpenedIsToldAndCostsNothing) {
  const std::string bytes = pattern(1, 256 * KiB);
  u64 refused = 0;
  for (u64 seed = 1; seed <= 80; ++seed) {
    SimFaults faults;
    (seed % 3 == 0   ? faults.write_error_one_in
     : seed % 3 == 1 ? faults.flush_error_one_in
                     : faults.read_error_one_in) = 2 + seed % 5;
    SimDisk disk(64 * MiB);
    {
      Trial made(disk, seed, faults, {.create = true});
      if (!made.opened) {
        EXPECT_EQ(made.opened.code(), Code::io) << made.opened.error().message;
      }
      refused += made.opened ? 0 : 1;
    }
    disk = SimDisk(64 * MiB);
    {
      Trial made(disk, seed, {}, {.create = true});
      ASSERT_TRUE(made.opened);
      ASSERT_TRUE(made.run(made.engine->volume_create("db", 64 * MiB, {})));
      const auto handle = made.engine->open_handle("db", false);
      const u64 rounds = seed % 4 * 30;
      for (u64 i = 0; i <= rounds; ++i)
        ASSERT_TRUE(made.run((*handle)->write(i % 30 * 256 * KiB, std::as_bytes(std::span(bytes)), true)));
      if (seed % 2 == 0) {
        ASSERT_TRUE(made.run(made.engine->sync()));
      }
    }
    for (u64 again = 0; again < 3; ++again) {
      Trial trial(disk, seed * 10 + again, faults);
      if (!trial.opened) {
        EXPECT_EQ(trial.opened.code(), Code::io) << trial.opened.error().message;
      }
      refused += trial.opened ? 0 : 1;
    }
    Trial trial(disk, seed, {});
    ASSERT_TRUE(trial.opened) << trial.opened.error().message;
    EXPECT_EQ(trial.engine->status().health, "ok");
    const auto handle = trial.engine->open_handle("db", true);
    ASSERT_TRUE(handle);
    std::string read(bytes.size(), '?');
    ASSERT_TRUE(trial.run((*handle)->read(0, std::as_writable_bytes(std::span(read)))));
    EXPECT_EQ(read, bytes);
  }
  EXPECT_GT(refused, 40u);
}

TEST(OpenErrorTest, APageThatReplayCannotReadCostsNothingThatWasFlushed) {
  constexpr u64 leaves = 12;
  constexpr u64 length = 64 * KiB;  // so much that the log has many segments, with summaries
  const auto place = [](u64 leaf) { return leaf * 2 * MiB; };
  SimDisk made_disk(64 * MiB);
  {
    Trial made(made_disk, 1, {}, {.create = true});
    ASSERT_TRUE(made.opened);
    ASSERT_TRUE(made.run(made.engine->volume_create("db", 64 * MiB, {})));
    const auto handle = made.engine->open_handle("db", false);
    const auto write = [&](u64 leaf, u64 stamp) {
      const std::string bytes = pattern(stamp, length);
      ASSERT_TRUE(made.run((*handle)->write(place(leaf), std::as_bytes(std::span(bytes)), true)));
    };
    for (u64 leaf = 0; leaf < leaves; ++leaf) write(leaf, 100 + leaf);
    ASSERT_TRUE(made.run(made.engine->sync()));  // the map has nodes on the disk, which a replay needs
    for (u64 leaf = 0; leaf < leaves; ++leaf) write(leaf, 200 + leaf);
    ASSERT_TRUE(made.run(made.engine->volume_resize("db", 128 * MiB, false)));
  }
  u64 read_only = 0;
  for (const auto& [block, bytes] : made_disk.blocks) {
    SimDisk disk = made_disk;
    {
      SimFaults faults;
      faults.bad_blocks = {block};
      Trial trial(disk, block + 1, faults);
      if (trial.opened && !trial.engine->status().writable) {
        ++read_only;
        // Some of the batch behind may be there, none of those behind that.
        EXPECT_NE(trial.engine->status().health.find(fmt::format("as of batch {}:", trial.engine->last_batch() - 1)), std::string::npos)
            << trial.engine->status().health << ", at " << trial.engine->last_batch();
      }
    }
    Trial trial(disk, 1, {});  // the device reads again
    ASSERT_TRUE(trial.opened) << trial.opened.error().message;
    const auto handle = trial.engine->open_handle("db", true);
    ASSERT_TRUE(handle);
    EXPECT_EQ((*handle)->size(), 128 * MiB) << "block " << block;
    for (u64 leaf = 0; leaf < leaves; ++leaf) {
      std::string read(length, '?');
      ASSERT_TRUE(trial.run((*handle)->read(place(leaf), std::as_writable_bytes(std::span(read)))));
      EXPECT_EQ(read == pattern(200 + leaf, length), true) << "block " << block << ", leaf " << leaf;
    }
  }
  EXPECT_GT(read_only, 0u) << "no block held a page that the replay needs";
}

TEST(OpenErrorTest, ASuperblockThatIsBadOrOlderIsWrittenAgainBeforeAnythingElse) {
  SimDisk made_disk(64 * MiB);
  std::map<u64, std::vector<std::byte>> before;
  {
    Trial made(made_disk, 1, {}, {.create = true});
    ASSERT_TRUE(made.opened);
    before = made_disk.blocks;
    ASSERT_TRUE(made.run(made.engine->volume_create("db", 64 * MiB, {})));
    ASSERT_TRUE(made.run(made.engine->sync()));
  }
  const u64 second = superblock_b_offset / block_size;
  for (const u64 copy : {u64{0}, second}) {
    for (const bool older : {false, true}) {
      const u64 good = copy == 0 ? second : 0;
      u64 mended = 0;
      for (u64 seed = 1; seed <= 16; ++seed) {
        SimDisk disk = made_disk;
        disk.blocks[copy] = older ? before.at(copy) : std::vector<std::byte>(block_size, std::byte{7});
        {
          // Of a write that fails all may have arrived; what comes behind it is not tried any more.
          Trial trial(disk, seed, {.write_error_one_in = 1});
          EXPECT_FALSE(trial.opened);
        }
        EXPECT_EQ(disk.blocks.at(good), made_disk.blocks.at(good)) << "the only copy that is good was written first";
        mended += disk.blocks.at(copy) == made_disk.blocks.at(good) ? 1 : 0;
        Trial trial(disk, 1, {});
        EXPECT_TRUE(trial.opened);
      }
      EXPECT_GT(mended, 0u);
    }
  }
}

TEST(OpenErrorTest, ALogThatCannotBeReadIsToldAndNothingOfItLost) {
  const std::string bytes = pattern(1, 64 * KiB);
  constexpr u64 writes = 40;
  SimDisk disk(64 * MiB);
  {
    Trial made(disk, 1, {}, {.create = true});
    ASSERT_TRUE(made.opened);
    ASSERT_TRUE(made.run(made.engine->volume_create("db", 64 * MiB, {})));
    const auto handle = made.engine->open_handle("db", false);
    // No flush: the segments that the log has left must be read whole, whatever their summaries say.
    for (u64 i = 0; i < writes; ++i) {
      ASSERT_TRUE(made.run((*handle)->write(i * 64 * KiB, std::as_bytes(std::span(bytes)), false)));
    }
  }
  u64 refused = 0;
  for (u64 seed = 1; seed <= 60; ++seed) {
    SimDisk copy = disk;
    {
      Trial trial(copy, seed, {.read_error_one_in = 2 + seed % 3});
      if (!trial.opened) {
        EXPECT_EQ(trial.opened.code(), Code::io) << trial.opened.error().message;
      }
      refused += trial.opened ? 0 : 1;
    }
    Trial trial(copy, seed, {});
    ASSERT_TRUE(trial.opened) << trial.opened.error().message;
    const auto handle = trial.engine->open_handle("db", true);
    ASSERT_TRUE(handle);
    std::string read(bytes.size(), '?');
    for (u64 i = 0; i < writes; ++i) {
      ASSERT_TRUE(trial.run((*handle)->read(i * 64 * KiB, std::as_writable_bytes(std::span(read)))));
      ASSERT_EQ(read == bytes, true) << "seed " << seed << ": write " << i << " is lost";
    }
  }
  EXPECT_GT(refused, 10u);  // what was read ahead in vain is tried again
}

/// From each read of an opening on, the device reads nothing any more: it is told, and the next opening finds everything.
void stop_reading_everywhere(const SimDisk& disk, u64 writes, const std::string& bytes) {
  for (u64 good = 0;; ++good) {
    SimDisk copy = disk;
    {
      Trial trial(copy, 1, {.good_reads = good, .failing_reads = 1'000'000});
      if (trial.opened) {
        EXPECT_GT(good, 5u);
        return;
      }
      EXPECT_EQ(trial.opened.code(), Code::io) << trial.opened.error().message;
    }
    Trial trial(copy, 1, {});
    ASSERT_TRUE(trial.opened) << good << ": " << trial.opened.error().message;
    const auto handle = trial.engine->open_handle("db", true);
    std::string read(bytes.size(), '?');
    for (u64 i = 0; i < writes; ++i) {
      ASSERT_TRUE(trial.run((*handle)->read(i * bytes.size(), std::as_writable_bytes(std::span(read)))));
      ASSERT_EQ(read == bytes, true) << good << ": write " << i << " is lost";
    }
  }
}

TEST(OpenErrorTest, ADeviceThatStopsReadingAtAnyMomentOfAnOpeningCostsNothing) {
  // In a large pool chunks are large, and are read in pieces.
  for (const auto& [size, length] : {std::pair{64 * MiB, 4 * KiB}, {64 * MiB, 64 * KiB}, {64 * MiB, 256 * KiB}, {1 * GiB, 4 * KiB}, {1 * GiB, 256 * KiB}}) {
    const std::string bytes = pattern(1, length);
    // Flushed at the end, in the middle or never: segments are taken from their summaries, from their batches, or are read whole.
    for (const u64 flush_at : {u64{39}, u64{14}, u64{1000}}) {
      SimDisk disk(size);
      {
        Trial made(disk, 1, {}, {.create = true});
        ASSERT_TRUE(made.opened);
        ASSERT_TRUE(made.run(made.engine->volume_create("db", 64 * MiB, {})));
        const auto handle = made.engine->open_handle("db", false);
        for (u64 i = 0; i < 40; ++i) {
          ASSERT_TRUE(made.run((*handle)->write(i * length, std::as_bytes(std::span(bytes)), i == flush_at)));
        }
      }
      stop_reading_everywhere(disk, 40, bytes);
    }
  }
}

TEST(OpenErrorTest, TablesThatMakeNoSenseAreRefused) {
  SimDisk disk(64 * MiB);
  Trial trial(disk, 1, {}, {.create = true});
  const std::vector<std::byte> nonsense(40, std::byte{7});
  for (const TableId table : {TableId::roots, TableId::entries, TableId::gone, TableId::debts}) {
    EXPECT_EQ(trial.engine->load_bucket(table, 7, nonsense).code(), Code::corrupt) << static_cast<int>(table);
  }
}

TEST(LabelErrorTest, ADeviceThatCannotTakeItsLabelIsTold) {
  SimRuntime runtime(1);
  SimDisk disk(8 * MiB);
  SimDevice device(runtime, disk, 1);
  const std::vector<Device*> members{&device};
  const MemberLabel label{.layout = Layout(MiB, 2), .names = {"one", "two"}};
  device.faults().host_full = true;
  EXPECT_EQ(run_on(runtime, clear_label_areas(members)).code(), Code::no_space);
  device.faults().host_full = false;
  EXPECT_TRUE(run_on(runtime, clear_label_areas(members)));
  device.faults().failing_writes = 100;
  EXPECT_EQ(run_on(runtime, write_labels(members, label)).code(), Code::io);
  device.faults().failing_writes = 0;
  device.faults().failing_flushes = 1;
  EXPECT_EQ(run_on(runtime, write_labels(members, label)).code(), Code::io);
  EXPECT_TRUE(run_on(runtime, write_labels(members, label)));
}

TEST(OpenErrorTest, APlaceTooSmallForAPoolIsRefused) {
  SimDisk disk(4 * MiB);
  const Trial trial(disk, 1, {}, {.create = true});
  EXPECT_EQ(trial.opened.code(), Code::invalid);
}

TEST(OpenErrorTest, ADeviceThatIsCutShortIsRefusedWithWhatIsMissing) {
  SimDisk disk = sample_disk();
  SimDisk none = disk;
  none.size = 4096;
  EXPECT_EQ(Trial(none, 1, {}).opened.code(), Code::invalid);
  SimDisk little = disk;
  little.size = superblock_b_offset + block_size;
  EXPECT_NE(refusal(little).find("cut short"), std::string::npos);
  SimDisk most = disk;
  most.size -= Image(most).super.chunk_size * 4;
  EXPECT_NE(refusal(most).find("cut short"), std::string::npos);
}

TEST(OpenErrorTest, TablesThatContradictEachOtherAreRefused) {
  const SimDisk disk = sample_disk();
  const auto spoilt = [&](const std::function<void(Image&)>& spoil,
                          const std::function<void(std::vector<RawBucket>&)>& tamper = {}) {
    SimDisk copy = disk;
    Image image(copy);
    if (spoil) spoil(image);
    image.save(tamper);
    return refusal(copy);
  };
  EXPECT_EQ(spoilt([](Image& image) { ++image.root.number; }), "the checkpoint's root belongs to another checkpoint");
  EXPECT_EQ(spoilt([](Image& image) { image.segments.begin()->second.pieces[0].offset = image.super.size_max * 2; }),
            "a segment lies beyond the end of the pool");
  EXPECT_EQ(spoilt({},
                   [](std::vector<RawBucket>& buckets) {
                     for (RawBucket& bucket : buckets) {
                       if (bucket.table != TableId::segments) continue;
                       const auto once = bucket.bytes;
                       bucket.bytes.insert(bucket.bytes.end(), once.begin(), once.end());
                     }
                   }),
            "a segment stands twice in the segment table");
  const auto changed = [&](const SegmentChange& change, u64 bytes_less) {
    return spoilt({}, [&](std::vector<RawBucket>& buckets) {
      Writer to;
      encode_change(to, change, 0);
      buckets.push_back({TableId::changes, 1, to.take()});
      buckets.back().bytes.resize(buckets.back().bytes.size() - bytes_less);
    });
  };
  SegmentChange change{
      .number = segment_number_max, .kind = SegmentChange::Kind::slots, .record = {}, .live = {{1, 1}}, .dead = {}};
  EXPECT_EQ(changed(change, 1), "the changes of the segment table make no sense");
  EXPECT_EQ(changed(change, 0), "a segment changed that is not in the segment table");
  const auto shorter = [&](TableId table) {
    return spoilt({}, [table](std::vector<RawBucket>& buckets) {
      for (RawBucket& bucket : buckets) {
        if (bucket.table == table) bucket.bytes.pop_back();
      }
    });
  };
  EXPECT_EQ(shorter(TableId::segments), "the segment table makes no sense");
  EXPECT_EQ(shorter(TableId::roots), "the table of roots makes no sense");
  EXPECT_EQ(shorter(TableId::entries), "the catalog makes no sense");
  EXPECT_EQ(shorter(TableId::gone), "the table of branch points makes no sense");
  EXPECT_NE(spoilt([](Image& image) { image.root_of("dev").parent = 999'999; }).find("which is none"),
            std::string::npos);
  EXPECT_EQ(spoilt([](Image& image) {
              const RootId root = image.entry_of("small").root;
              image.roots.erase(root);
            }),
            "small has no map");
  EXPECT_NE(spoilt([](Image& image) {
              const EntryId volume = image.entry_of("small").id;
              image.entries.erase(volume);
            }).find("has no volume"),
            std::string::npos);
  EXPECT_EQ(spoilt([](Image& image) {
              auto record = image.gone.begin()->second;
              image.gone[{999'999, 0}] = record;
            }),
            "a branch point is missing");
  EXPECT_EQ(spoilt({}, [](std::vector<RawBucket>& buckets) { buckets[0].table = static_cast<TableId>(9); }),
            "the directory of the tables makes no sense");
}

/// Changes the first entry of the directory, and the checksums that lead to it.
void redirect(Image& image, const std::function<void(DirectoryEntry&)>& edit) {
  image.save();
  Place& piece = image.root.directory[0];
  const auto bytes = image.read(piece.offset, piece.length);
  Reader from(bytes);
  Writer to;
  for (bool first = true; from.left() > 0; first = false) {
    DirectoryEntry entry = decode_directory_entry(from);
    if (first) edit(entry);
    encode_directory_entry(to, entry);
  }
  const auto edited = to.take();
  const u64 at = round_up(image.super.root_offset + image.super.root_length, block_size);
  image.write(at, edited);
  piece = {at, static_cast<u32>(edited.size()), crc32c(edited)};
  const auto root = encode_checkpoint_root(image.root);
  image.super.root_offset = round_up(at + edited.size(), block_size);
  image.super.root_length = static_cast<u32>(root.size());
  image.super.root_crc = crc32c(root);
  image.write(image.super.root_offset, root);
  image.save_superblocks();
}

TEST(OpenErrorTest, TablesThatCannotLieWhereTheyAreSaidToAreRefused) {
  const SimDisk disk = sample_disk();
  SimDisk outside = disk;
  Image first(outside);
  redirect(first, [](DirectoryEntry& entry) { entry.place.offset = 8; });
  EXPECT_EQ(refusal(outside), "a table lies outside the pool");
  SimDisk too_long = disk;
  Image second(too_long);
  redirect(second, [](DirectoryEntry& entry) { entry.place.length = 8 * MiB; });
  EXPECT_EQ(refusal(too_long), "a table of the checkpoint is too long");
  SimDisk cut = disk;
  Image third(cut);
  third.super.root_length -= 4;
  third.super.root_crc = crc32c(third.read(third.super.root_offset, third.super.root_length));
  third.save_superblocks();
  refusal(cut);
}

TEST(OpenErrorTest, SuperblocksFromThePastAreRefusedAndNotRolledBackTo) {
  SimDisk disk(64 * MiB);
  Trial trial(disk, 1, {}, {.create = true});
  ASSERT_TRUE(trial.opened);
  ASSERT_TRUE(trial.run(trial.engine->volume_create("db", 1 * MiB, {})));
  ASSERT_TRUE(trial.run(trial.engine->sync()));
  const auto a = disk.blocks[0];
  const auto b = disk.blocks[superblock_b_offset / block_size];
  const auto handle = trial.engine->open_handle("db", false);
  const std::string bytes = pattern(1, 4096);
  for (u64 i = 0; i < 2; ++i) {
    ASSERT_TRUE(trial.run((*handle)->write(i * 4096, std::as_bytes(std::span(bytes)), true)));
    if (i == 0) {
      ASSERT_TRUE(trial.run(trial.engine->sync()));
    }
  }
  SimDisk left = disk;
  left.blocks[0] = a;
  left.blocks[superblock_b_offset / block_size] = b;
  EXPECT_NE(refusal(left).find("from the past"), std::string::npos);
}

TEST(OpenErrorTest, AFullHostIsToldByAPoolThatCannotBeginItsLog) {
  u64 told = 0;
  for (u64 seed = 1; seed <= 60; ++seed) {
    SimDisk disk(64 * MiB);
    { const Trial made(disk, seed, {.flush_error_one_in = 3}, {.create = true}); }
    SimDisk left = disk;
    Trial full(left, seed, {.host_full = true});
    if (!full.opened && full.opened.code() == Code::no_space) ++told;
  }
  EXPECT_GT(told, 5u);
  SimDisk disk(64 * MiB);
  EXPECT_EQ(Trial(disk, 1, {.host_full = true}, {.create = true}).opened.code(), Code::no_space);
}

}  // namespace
}  // namespace brindle::model
