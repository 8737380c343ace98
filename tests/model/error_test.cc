// error_test.cc: each error that a device, an image or a caller can bring about, and what the user then sees.
#include "base/crc32c.h"
#include "model/image.h"
#include "model/world.h"
#include "pool/labels.h"

namespace brindle::model {
namespace {

/// An engine on a device that has its faults before it is opened.
struct Trial {
  Trial(SimDisk& disk, u64 seed, const SimFaults& faults, bool create = false)
      : runtime(std::make_unique<SimRuntime>(seed)),
        device(std::make_unique<SimDevice>(*runtime, disk, seed, faults)),
        engine(
            std::make_unique<EngineCore>(*runtime, *device, EngineOptions{.create = create, .memory_max = 16 * MiB})) {
    opened = run(engine->open());
  }
  /// As after a kill: what still waits leaks.
  ~Trial() {
    device->kill();
    runtime->drop();
    static_cast<void>(engine.release());  // NOLINT: its coroutines still point into it
    static_cast<void>(device.release());
    static_cast<void>(runtime.release());
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;
  template <class T>
  T run(Task<T> task) {
    return run_on(*runtime, std::move(task));
  }
  std::unique_ptr<SimRuntime> runtime;
  std::unique_ptr<SimDevice> device;
  std::unique_ptr<EngineCore> engine;
  Status opened;
};

SimDisk sample() {
  World world({.verify_one_in = 0});
  EXPECT_TRUE(world.open());
  make_sample(world);
  return world.disk();
}

/// Why the engine does not open the disk; the code is `corrupt` in each of these tests.
std::string refusal(SimDisk& disk) {
  Trial trial(disk, 1, {});
  if (trial.opened) return "it was opened";
  EXPECT_EQ(trial.opened.code(), Code::corrupt);
  return trial.opened.error().message;
}

class CommandErrorTest : public testing::Test {
 protected:
  CommandErrorTest() {
    EXPECT_TRUE(world.open());
    world.create("db", 16 * MiB);
    world.snapshot("db@one");
  }
  EngineCore& engine() { return world.engine(); }
  Code label(const std::string& key, const std::string& value) {
    return world.run(engine().set_labels("db", {{key, value}})).code();
  }
  Status snapshots(std::vector<std::string> names, Labels labels = {}) {
    return world.run(engine().snapshot_create(std::move(names), std::move(labels)));
  }
  Status clones(std::vector<std::string> names, Labels labels = {}) {
    return world.run(engine().clone("db@one", std::move(names), std::move(labels)));
  }
  World world{WorldOptions{}};
};

TEST_F(CommandErrorTest, LabelsBeyondTheLimitsAreRefusedWhereverTheyAreGiven) {
  EXPECT_EQ(label("", "x"), Code::invalid);
  EXPECT_EQ(label(std::string(129, 'k'), "x"), Code::invalid);
  EXPECT_EQ(label("k", std::string(1025, 'v')), Code::invalid);
  EXPECT_EQ(label("k", "a\nb"), Code::invalid);
  EXPECT_EQ(label("a=b", "x"), Code::invalid);
  Labels many;
  for (int i = 0; i < 65; ++i) many["k" + std::to_string(i)] = "v";
  EXPECT_EQ(world.run(engine().set_labels("db", many)).code(), Code::invalid);
  Labels long_ones;
  for (int i = 0; i < 9; ++i) long_ones["k" + std::to_string(i)] = std::string(1000, 'v');
  EXPECT_EQ(world.run(engine().set_labels("db", long_ones)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().volume_create("new", 4096, many)).code(), Code::invalid);
  EXPECT_EQ(snapshots({"db@two"}, many).code(), Code::invalid);
  EXPECT_EQ(clones({"dev"}, many).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().set_labels("nobody", {})).code(), Code::not_found);
  EXPECT_EQ(engine().status().volumes, 1u);
  EXPECT_EQ(engine().status().snapshots, 1u);
  EXPECT_TRUE(engine().show("db")->labels.empty());
}

TEST_F(CommandErrorTest, NamesThatMakeNoSenseAreRefusedByEveryCommand) {
  EXPECT_EQ(snapshots({}).code(), Code::invalid);
  EXPECT_EQ(snapshots({"db"}).code(), Code::invalid);
  EXPECT_EQ(snapshots({"db@/"}).code(), Code::invalid);
  EXPECT_EQ(snapshots({"db@one"}).code(), Code::exists);
  EXPECT_EQ(snapshots({"db@two", "db@two"}).code(), Code::exists);
  EXPECT_EQ(clones({}).code(), Code::invalid);
  EXPECT_EQ(clones({"dev", "dev"}).code(), Code::exists);
  EXPECT_EQ(clones({"db"}).code(), Code::exists);
  EXPECT_EQ(clones({"db@x"}).code(), Code::invalid);
  const auto rename = [&](std::string from, std::string to) {
    return world.run(engine().rename(std::move(from), std::move(to))).code();
  };
  world.snapshot("db@two");
  EXPECT_EQ(rename("db", "/"), Code::invalid);
  EXPECT_EQ(rename("db", "db@x"), Code::invalid);
  EXPECT_EQ(rename("db", "db"), Code::exists);
  EXPECT_EQ(rename("db@one", "x"), Code::invalid);
  EXPECT_EQ(rename("db@one", "other@x"), Code::invalid);
  EXPECT_EQ(rename("db@one", "db@two"), Code::exists);
  EXPECT_EQ(world.run(engine().volume_resize("db@one", 4096, true)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().volume_resize("db", 4097, true)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().rollback({}, false, false)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().rollback({"db"}, false, false)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().snapshot_protect("db", true)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().remove({}, false, false)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().frees({"/"}, false)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().diff("db", "nobody")).code(), Code::not_found);
  EXPECT_EQ(world.run(engine().diff("nobody", "db")).code(), Code::not_found);
  EXPECT_EQ(world.run(engine().measure("nobody")).code(), Code::not_found);
  EXPECT_EQ(engine().show("nobody").code(), Code::not_found);
  EXPECT_EQ(engine().show("/").code(), Code::invalid);
  EXPECT_EQ(world.run(engine().pool_grow(4097)).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().pool_grow(4096)).code(), Code::invalid);
  EXPECT_EQ(engine().status().volumes, 1u);
  EXPECT_EQ(engine().status().snapshots, 2u);
}

TEST_F(CommandErrorTest, AVolumeThatIsOpenIsChangedByForceAlone) {
  const auto writer = world.handle("db");
  EXPECT_EQ(world.run(engine().rollback({"db@one"}, false, false)).code(), Code::busy);
  EXPECT_EQ(world.run(engine().remove({"db"}, false, false)).code(), Code::busy);
  EXPECT_TRUE(world.run(engine().remove({"db"}, false, true)));
  EXPECT_EQ(world.run(writer->flush()).code(), Code::not_found);
  EXPECT_EQ(world.run(writer->extents(0, 4096, 1)).code(), Code::not_found);
  std::string bytes(4096, '?');
  EXPECT_EQ(world.run(writer->read(0, std::as_writable_bytes(std::span(bytes)))).code(), Code::not_found);
  // Its snapshot holds its name.
  EXPECT_EQ(world.run(engine().volume_create("db", 4096, {})).code(), Code::exists);
  EXPECT_EQ(world.run(engine().rollback({"db@one"}, false, false)).code(), Code::not_found);
}

TEST_F(CommandErrorTest, ACommandTooLongForOneBatchIsRefusedWhole) {
  std::vector<std::string> names;
  for (u64 i = 0; i < 20'000; ++i) names.push_back("a-clone-with-a-name-that-is-not-short-" + std::to_string(i));
  EXPECT_EQ(clones(names).code(), Code::invalid);
  EXPECT_EQ(engine().status().volumes, 1u);
  EXPECT_TRUE(clones({"dev"}));
}

TEST_F(CommandErrorTest, AnEngineThatIsClosedAnswersThatItStops) {
  const auto handle = world.handle("db");
  ASSERT_TRUE(world.run(engine().close()));
  EXPECT_EQ(engine().open_handle("db", false).code(), Code::stopping);
  EXPECT_EQ(world.run(handle->flush()).code(), Code::stopping);
  EXPECT_EQ(world.run(engine().volume_create("new", 4096, {})).code(), Code::stopping);
  EXPECT_EQ(world.run(engine().sync()).code(), Code::stopping);
  EXPECT_EQ(world.run(engine().hold_checkpoint()).code(), Code::stopping);
  EXPECT_EQ(world.run(engine().pool_grow(1 * GiB)).code(), Code::stopping);
  world.kill();
}

TEST_F(CommandErrorTest, AScrubEndsWhenItsCallerSaysSo) {
  world.write("db", 0, pattern(1, 64 * KiB));
  Engine::Progress progress{.stop = true};
  EXPECT_EQ(world.run(engine().scrub(&progress)).code(), Code::cancelled);
  progress.stop = false;
  EXPECT_TRUE(world.run(engine().scrub(&progress))->empty());
}

TEST(ReadErrorTest, WhatCannotBeReadIsAnErrorAndNeverAWrongAnswer) {
  SimDisk disk = sample();
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
      Trial made(disk, seed, faults, true);
      if (!made.opened) {
        EXPECT_EQ(made.opened.code(), Code::io) << made.opened.error().message;
      }
      refused += made.opened ? 0 : 1;
    }
    disk = SimDisk(64 * MiB);
    {
      Trial made(disk, seed, {}, true);
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

TEST(OpenErrorTest, ALogThatCannotBeReadIsToldAndNothingOfItLost) {
  const std::string bytes = pattern(1, 64 * KiB);
  constexpr u64 writes = 40;
  SimDisk disk(64 * MiB);
  {
    Trial made(disk, 1, {}, true);
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
        Trial made(disk, 1, {}, true);
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
  Trial trial(disk, 1, {}, true);
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
  const Trial trial(disk, 1, {}, true);
  EXPECT_EQ(trial.opened.code(), Code::invalid);
}

TEST(OpenErrorTest, ADeviceThatIsCutShortIsRefusedWithWhatIsMissing) {
  SimDisk disk = sample();
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
  const SimDisk disk = sample();
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
  const SimDisk disk = sample();
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
  Trial trial(disk, 1, {}, true);
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
    { const Trial made(disk, seed, {.flush_error_one_in = 3}, true); }
    SimDisk left = disk;
    Trial full(left, seed, {.host_full = true});
    if (!full.opened && full.opened.code() == Code::no_space) ++told;
  }
  EXPECT_GT(told, 5u);
  SimDisk disk(64 * MiB);
  EXPECT_EQ(Trial(disk, 1, {.host_full = true}, true).opened.code(), Code::no_space);
}

TEST(ReadErrorTest, PagesThatMakeNoSenseAreDamageAndNoAnswer) {
  for (const PageKind kind : {PageKind::leaf, PageKind::patch, PageKind::node}) {
    SimDisk disk = sample();
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
  SimDisk disk = sample();
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

std::string clone_name(u64 number) { return "clone-with-quite-a-long-name-" + std::to_string(number); }

/// A catalog of many pages: `db`, its snapshot `db@s`, and clones of that in so many commands.
void make_clones(Trial& trial, u64 commands, u64 each, const Labels& labels) {
  ASSERT_TRUE(trial.run(trial.engine->volume_create("db", 1 * GiB, {})));
  ASSERT_TRUE(trial.run(trial.engine->snapshot_create({"db@s"}, {})));
  for (u64 i = 0; i < commands; ++i) {
    std::vector<std::string> names;
    for (u64 k = 0; k < each; ++k) names.push_back(clone_name(i * each + k));
    ASSERT_TRUE(trial.run(trial.engine->clone("db@s", names, labels)));
  }
}

TEST(CheckpointErrorTest, OneThatFailsLatchesThePoolAndTheLastOneStands) {
  SimDisk disk(64 * MiB);
  {
    Trial trial(disk, 1, {}, true);
    ASSERT_TRUE(trial.opened);
    ASSERT_NO_FATAL_FAILURE(make_clones(trial, 12, 500, {}));
    ASSERT_TRUE(trial.run(trial.engine->close()));
  }
  u64 failed = 0;
  const std::string bytes = pattern(1, 4096);
  for (u64 seed = 1; seed <= 30; ++seed) {
    SimDisk copy = disk;
    {
      Trial trial(copy, seed, {});
      ASSERT_TRUE(trial.opened);
      const auto handle = trial.engine->open_handle("db", false);
      ASSERT_TRUE(handle);
      for (u64 round = 0; round < 6 && trial.engine->status().writable; ++round) {
        for (u64 i = 0; i < 400; ++i) {
          trial.device->faults().write_error_one_in = 0;
          if (!trial.run((*handle)->write((i * 7 + round) % 512 * 2 * MiB, std::as_bytes(std::span(bytes)), false)))
            break;
        }
        for (u64 i = 0; i < 60; ++i) {
          const std::string name = clone_name((i * 97 + round) % 6000);
          if (!trial.run(trial.engine->set_labels(name, {{"round", std::to_string(round)}}))) break;
        }
        auto& faults = trial.device->faults();
        if (round >= seed % 4) (seed % 3 == 0 ? faults.read_error_one_in : faults.write_error_one_in) = 4 + seed % 20;
        if (round >= seed % 4 && seed % 5 == 0) faults.host_full = true;
        const Status synced = trial.run(trial.engine->sync());
        faults.read_error_one_in = 0;
        if (synced) continue;
        ++failed;
        EXPECT_TRUE(synced.code() == Code::io || synced.code() == Code::read_only || synced.code() == Code::no_space)
            << synced.error().message;
        EXPECT_FALSE(trial.engine->status().writable);
      }
    }
    Trial trial(copy, seed, {});
    ASSERT_TRUE(trial.opened) << trial.opened.error().message;
    EXPECT_EQ(trial.engine->status().health, "ok");
    EXPECT_EQ(trial.engine->status().volumes, 6001u);
  }
  EXPECT_GT(failed, 6u);
}

TEST(CheckpointErrorTest, OneOfManyChunksMayFailAnywhere) {
  SimDisk disk(64 * MiB);
  {
    Trial trial(disk, 1, {}, true);
    ASSERT_TRUE(trial.opened);
    ASSERT_NO_FATAL_FAILURE(make_clones(trial, 40, 400, {{"why", std::string(200, 'x')}}));
    // Killed: opening it again replays all, and writes all of it in one checkpoint.
  }
  u64 refused = 0;
  for (u64 seed = 1; seed <= 30; ++seed) {
    SimDisk copy = disk;
    {
      SimFaults faults;
      faults.write_error_one_in = 2 + seed % 5;
      const Trial trial(copy, seed, faults);
      if (!trial.opened) {
        EXPECT_TRUE(trial.opened.code() == Code::io) << trial.opened.error().message;
      }
      refused += trial.opened ? 0 : 1;
    }
    if (seed % 6 != 0) continue;
    const Trial trial(copy, seed, {});
    ASSERT_TRUE(trial.opened) << trial.opened.error().message;
    EXPECT_EQ(trial.engine->status().volumes, 16'001u);
  }
  EXPECT_GT(refused, 10u);
  // A host that gives no chunk for it is told, and once it does nothing is lost.
  SimDisk copy = disk;
  {
    const Trial full(copy, 1, {.host_full = true});
    if (!full.opened) {
      EXPECT_EQ(full.opened.code(), Code::no_space) << full.opened.error().message;
    }
  }
  const Trial trial(copy, 2, {});
  ASSERT_TRUE(trial.opened) << trial.opened.error().message;
  EXPECT_EQ(trial.engine->status().volumes, 16'001u);
}

TEST(UpkeepErrorTest, AHostThatTakesNothingBackCostsSpaceAlone) {
  World world(WorldOptions{});
  ASSERT_TRUE(world.open());
  world.create("passing", 64 * MiB);
  for (u64 i = 0; i < 80; ++i) world.write("passing", i * 256 * KiB, pattern(i, 256 * KiB));
  world.remove("passing");
  world.sync();
  world.device().faults().host_keeps = true;
  world.runtime().run_for(20 * second_ns);
  EXPECT_EQ(world.engine().status().health, "ok");
  world.create("next", 64 * MiB);
  for (u64 i = 0; i < 80; ++i) world.write("next", i * 256 * KiB, pattern(i, 256 * KiB));
  EXPECT_EQ(world.read("next", 0, 256 * KiB), pattern(0, 256 * KiB));
}

TEST(UpkeepErrorTest, CompactionLeavesWhatItCannotReadAndLosesNothing) {
  for (u64 seed = 1; seed <= 40; ++seed) {
    World world({.seed = seed, .verify_one_in = 0});
    ASSERT_TRUE(world.open());
    world.create("kept", 64 * MiB);
    world.create("passing", 64 * MiB);
    for (u64 i = 0; i < 100; ++i) {
      world.write("kept", i * 16 * KiB, pattern(i + 1, 16 * KiB));
      world.write("passing", i * 112 * KiB, pattern(1000 + i, 112 * KiB));
    }
    world.sync();
    world.remove("passing");
    world.sync();
    auto& faults = world.device().faults();
    if (seed % 2 == 0) {
      faults.read_error_one_in = 1 + seed % 4;
    } else {
      faults.write_error_one_in = 2 + seed % 4;
    }
    world.runtime().run_for(20 * second_ns);
    faults.read_error_one_in = faults.write_error_one_in = 0;
    if (seed % 2 == 0) {
      EXPECT_EQ(world.engine().status().health, "ok");
    }
    for (u64 i = 0; i < 100; ++i) EXPECT_EQ(world.read("kept", i * 16 * KiB, 16 * KiB), pattern(i + 1, 16 * KiB));
    world.kill();
    ASSERT_TRUE(world.open());
    for (u64 i = 0; i < 100; ++i) EXPECT_EQ(world.read("kept", i * 16 * KiB, 16 * KiB), pattern(i + 1, 16 * KiB));
  }
}

TEST(UpkeepErrorTest, AFlushOfItsOwnThatFailsLatchesThePool) {
  World world({.pool_size = 4 * GiB, .memory_max = 256 * MiB, .verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 1 * GiB);
  world.device().faults().flush_error_one_in = 1;
  const std::string bytes = pattern(1, 256 * KiB);
  const auto to = world.handle("db");
  for (u64 at = 0; at < 70 * MiB; at += bytes.size()) {
    if (!world.run(to->write(at, std::as_bytes(std::span(bytes)), false))) break;
  }
  world.runtime().run_for(500 * millisecond_ns);
  EXPECT_NE(world.engine().status().health.find("a flush failed"), std::string::npos) << world.engine().status().health;
  EXPECT_EQ(world.read("db", 0, bytes.size()), bytes);
}

TEST(FullErrorTest, APoolWithNothingLeftMakesNothingNewAndTellsOfAFailedCheckpoint) {
  World world({.verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("db", 1 * GiB);
  const auto to = world.handle("db");
  u64 at = 0;
  for (const u64 size : {256 * KiB, 4 * KiB}) {
    const std::string bytes = pattern(7, size);
    for (Status status; status; at += size) status = world.run(to->write(at, std::as_bytes(std::span(bytes)), false));
  }
  // Their tables take what a write of one block no longer finds.
  const auto create = [&](u64 i) {
    return world.run(world.engine().volume_create("new" + std::to_string(i), 4096, {{"why", std::string(label_value_size_max, 'x')}}));
  };
  u64 made = 0;
  auto last = create(made);
  while (last && made < 1000) last = create(++made);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.code(), Code::no_space);
  EXPECT_LT(world.engine().status().free, block_size);
  EXPECT_EQ(world.run(world.engine().snapshot_create({"db@s"}, {})).code(), Code::no_space);
  EXPECT_EQ(world.run(world.engine().clone("db", {"dev"}, {})).code(), Code::no_space);
  EXPECT_TRUE(world.engine().status().writable);
  world.device().faults().write_error_one_in = 1;
  const std::string bytes = pattern(8, 4096);
  const Status status = world.run(to->write(0, std::as_bytes(std::span(bytes)), false));
  EXPECT_TRUE(status.code() == Code::read_only || status.code() == Code::io) << status.error().message;
  EXPECT_FALSE(world.engine().status().writable);
  EXPECT_EQ(world.read("db", 0, 4096), pattern(7, 256 * KiB).substr(0, 4096));
}

TEST(GoneErrorTest, WhatIsDeletedWhileSomebodyCountsItIsNotFound) {
  World world({.verify_one_in = 0});
  ASSERT_TRUE(world.open());
  world.create("small", 64 * MiB);
  for (u64 i = 0; i < 32; ++i) world.write("small", i * 2 * MiB, pattern(i, 4096));
  world.close();
  ASSERT_TRUE(world.open());
  const auto both = [](World& on) -> Task<Code> {
    Gate gate(on.runtime());
    Code measured = Code::invalid;
    const auto measure = [](World& of, Code& out) -> Task<void> {
      auto info = co_await of.engine().measure("small");
      if (!info) out = info.code();
    };
    on.device().faults().slow_calls = 1;
    on.device().faults().slow_ns = second_ns;
    gate.spawn(measure(on, measured));
    std::vector<std::string> names(1, "small");
    const Status removed = co_await on.engine().remove(std::move(names), false, true);
    EXPECT_TRUE(removed);
    co_await gate.close();
    co_return measured;
  };
  EXPECT_EQ(world.run(both(world)), Code::not_found);
}

}  // namespace
}  // namespace brindle::model
