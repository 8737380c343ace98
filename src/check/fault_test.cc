// fault_test.cc: faults that no checksum tells, planted into a sound pool one at a time: each must be found.
#include <algorithm>
#include <set>

#include "model/image.h"
#include "model/world.h"

namespace brindle::model {
namespace {

class FaultTest : public testing::Test {
 protected:
  FaultTest() : world({.verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    make_sample(world);
    image = std::make_unique<Image>(world.disk());
  }

  /// Saves and verifies: some damage of that kind has `note` in its words; returns who was named with it.
  std::set<std::string> expect(const std::string& kind, const std::string& note) {
    image->save();
    return expect_as_it_is(kind, note);
  }
  std::set<std::string> expect_as_it_is(const std::string& kind, const std::string& note) {
    const auto report = world.verify();
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    std::set<std::string> named;
    std::string all;
    for (const CheckDamage& damage : report ? report->damage : std::vector<CheckDamage>{}) {
      all += damage.kind + " '" + damage.volume + "' " + damage.note + "\n";
      if (damage.kind == kind && damage.note.find(note) != std::string::npos) named.insert(damage.volume);
    }
    EXPECT_FALSE(named.empty()) << "found only:\n" << all;
    return named;
  }
  /// The first head's leaf or patch that is its own, changed by `edit`.
  void edit_leaf_of(RootId root, const std::function<void(EditedPage&)>& edit) {
    bool done = false;
    image->edit_pages([&](EditedPage& page) {
      if (done || page.root.id != root || page.level != -1) return false;
      done = true;
      edit(page);
      return true;
    });
    EXPECT_TRUE(done);
  }
  SegmentRecord& segment(SegmentKind kind, bool packed) {
    for (auto& [number, record] : image->segments) {
      if (record.kind == kind && record.packed == packed && !record.live.empty()) return record;
    }
    ADD_FAILURE() << "no such segment";
    return image->segments.begin()->second;
  }
  static u64 first_live(const SegmentRecord& record) { return record.live.next(0, record.live.slots()); }
  RootRecord& branch() {
    for (auto& [id, record] : image->roots) {
      if (record.kind == RootKind::branch) return record;
    }
    ADD_FAILURE() << "no branch point";
    return image->roots.begin()->second;
  }

  World world;
  std::unique_ptr<Image> image;
};

TEST_F(FaultTest, NothingIsWrongWithASavedImage) {
  image->save();
  const auto report = world.verify();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->clean()) << report->damage.front().note;
  ASSERT_TRUE(world.open()) << "and the engine opens it";
  EXPECT_EQ(world.read("db", 0, 4096).size(), 4096u);
  world.close();
}

// --- space ----------------------------------------------------------------------------------------------------------

TEST_F(FaultTest, ASlotMarkedLiveThatNothingNames) {
  SegmentRecord& record = segment(SegmentKind::data, false);
  record.live.set(record.live.next_gap(1, record.live.slots()), true);
  EXPECT_EQ(expect("space", "nothing names it"), std::set<std::string>{""});
}

TEST_F(FaultTest, APageSlotMarkedLiveThatNothingNames) {
  SegmentRecord& record = segment(SegmentKind::pages, false);
  record.live.set(record.live.next_gap(0, record.live.slots()), true);
  expect("space", "nothing names it");
}

TEST_F(FaultTest, ABlockThatIsNotMarkedLive) {
  SegmentRecord& record = segment(SegmentKind::data, false);
  record.live.set(first_live(record), false);
  expect("space", "a block that is not marked live");
}

TEST_F(FaultTest, APageThatIsNotMarkedLive) {
  SegmentRecord& record = segment(SegmentKind::pages, false);
  record.live.set(first_live(record), false);
  expect("space", "a page of a map that is not marked live");
}

// --- names ----------------------------------------------------------------------------------------------------------

TEST_F(FaultTest, ABlockInNoSegment) {
  const RootId small = image->root_of("small").id;
  edit_leaf_of(small, [&](EditedPage& page) {
    std::get<PatchData>(page.page).names[0] = SlotName::of(image->segments.rbegin()->first + 5, 9);
  });
  EXPECT_EQ(expect("map", "in no segment"), std::set<std::string>{"small"});
}

TEST_F(FaultTest, ABlockOfTwoVolumesWithoutACommonAncestor) {
  const SlotName other = image->name_of(image->root_of("db").id, 100);
  const RootId small = image->root_of("small").id;
  edit_leaf_of(small, [&](EditedPage& page) { std::get<PatchData>(page.page).names[0] = other; });
  const auto named = expect("map", "from two places");
  EXPECT_TRUE(named.contains("small"));
  EXPECT_TRUE(named.contains("db"));
  EXPECT_TRUE(named.contains("dev@new"));
}

TEST_F(FaultTest, ABlockNamedTwiceInOneVolume) {
  const RootId small = image->root_of("small").id;
  const SlotName other = image->name_of(small, 11);
  edit_leaf_of(small, [&](EditedPage& page) {
    auto& patch = std::get<PatchData>(page.page);
    patch.has[0] |= 1;
    patch.names.insert(patch.names.begin(), other);
    patch.crcs.insert(patch.crcs.begin(), patch.crcs[0]);
  });
  EXPECT_EQ(expect("map", "from two places"), std::set<std::string>{"small"});
}

TEST_F(FaultTest, APageOfTwoVolumesWithoutACommonAncestor) {
  image->root_of("small").map = image->root_of("db").map;
  image->root_of("small").height = image->root_of("db").height;
  const auto named = expect("map", "from two places");
  EXPECT_TRUE(named.contains("small"));
  EXPECT_TRUE(named.contains("db"));
}

TEST_F(FaultTest, ABlockBeyondTheEndOfItsVolume) {
  image->root_of("small").size = image->entry_of("small").size = 12 * block_size - 2 * block_size;
  expect("map", "beyond the end");
}

TEST_F(FaultTest, ABlockYoungerThanTheCheckpoint) {
  image->super.log_segment = 3;
  expect("map", "younger than the checkpoint");
}

TEST_F(FaultTest, OneBlockWithTwoChecksums) {
  const RootId small = image->root_of("small").id;
  edit_leaf_of(small, [&](EditedPage& page) {
    auto& patch = std::get<PatchData>(page.page);
    ASSERT_EQ(patch.names[patch.rank(10)], image->name_of(image->root_of("small", "kept").id, 10));
    patch.crcs[patch.rank(10)] ^= 1;
  });
  expect("map", "two checksums");
}

// --- births ---------------------------------------------------------------------------------------------------------

TEST_F(FaultTest, APageYoungerThanTheSnapshotThatHoldsIt) {
  RootRecord& kept = image->root_of("small", "kept");
  kept.number = 1;
  expect("map", "a page of a map is younger than the root");
}

TEST_F(FaultTest, ABlockYoungerThanTheSnapshotThatHoldsIt) {
  image->root_of("small", "kept").position = SlotName::of(1, 1);
  expect("map", "a block is younger than the root");
}

TEST_F(FaultTest, APageAsOldAsItsParentThatDoesNotHoldIt) {
  const u64 number = image->root_of("small", "kept").number;
  image->edit_pages([&](EditedPage& page) {
    if (page.root.id != image->root_of("small").id || page.level != -1) return false;
    page.ref.birth = number - 1;
    return true;
  });
  EXPECT_EQ(expect("map", "as old as its parent"), std::set<std::string>{"small"});
}

TEST_F(FaultTest, ABlockAsOldAsItsParentThatDoesNotHoldIt) {
  RootRecord& kept = image->root_of("small", "kept");
  const SlotName end = SlotName::of(image->super.log_segment, image->super.log_slot);
  kept.position = image->root_of("small").position = {end.raw - 1};
  EXPECT_EQ(expect("map", "as old as its parent"), std::set<std::string>{"small"});
}

TEST_F(FaultTest, APageYoungerThanTheCheckpoint) {
  image->edit_pages([&](EditedPage& page) {
    if (page.root.id != image->root_of("small").id || page.level != 0) return false;
    page.ref.birth = image->super.checkpoint_number;
    return true;
  });
  expect("map", "younger than the checkpoint");
}

// --- pages ----------------------------------------------------------------------------------------------------------

TEST_F(FaultTest, ANodeWhereALeafBelongs) {
  const PageRef map = image->root_of("twin").map;
  image->edit_pages([&](EditedPage& page) {
    if (page.root.id != image->root_of("small").id || page.level != 0) return false;
    std::get<NodeData>(page.page)[0] = map;
    return true;
  });
  EXPECT_TRUE(expect("map", "not of the kind").contains("small"));
}

TEST_F(FaultTest, APageThatMakesNoSense) {
  const PageRef map = image->root_of("small").map;
  image->edit_page_bytes([&](const PageRef& ref, std::vector<std::byte>& bytes) {
    if (!(ref == map)) return false;
    bytes[4] ^= std::byte{1};  // how many links there are
    return true;
  });
  EXPECT_EQ(expect("map", "makes no sense"), std::set<std::string>{"small"});
}

// --- the family tree ------------------------------------------------------------------------------------------------

TEST_F(FaultTest, AParentThatIsNone) {
  image->root_of("small").parent = 999'999;
  expect("table", "its parent is none");
}

TEST_F(FaultTest, ARootThatIsItsOwnAncestor) {
  image->root_of("small", "kept").parent = image->root_of("small").id;
  expect("table", "its own ancestor");
}

TEST_F(FaultTest, AnotherParentThanTheTrueOne) {
  image->root_of("small").parent = branch().id;
  expect("map", "");
}

TEST_F(FaultTest, ABranchPointWithOneChild) {
  for (auto& [id, record] : image->roots) {
    if (record.parent == branch().id && record.id != image->root_of("db").id) record.parent = 0;
  }
  expect("table", "less than two children");
}

TEST_F(FaultTest, AVolumeThatSomethingHangsFrom) {
  image->root_of("small").parent = image->root_of("twin").id;
  expect("table", "a volume that something hangs from");
}

TEST_F(FaultTest, ACursorOnARootThatDoesNotDie) {
  image->root_of("small", "kept").cursor = 1;
  expect("table", "it has a cursor");
}

TEST_F(FaultTest, ARootThatDiesWithSeveralChildren) {
  branch().kind = RootKind::dying;
  expect("table", "several children");
}

TEST_F(FaultTest, ABranchPointThatDidNotRememberWhatItLetGo) {
  image->gone.clear();
  // What it let go of was written over, or is gone with its whole segment.
  image->save();
  const auto report = world.verify();
  ASSERT_TRUE(report);
  EXPECT_TRUE(std::any_of(report->damage.begin(), report->damage.end(), [](const CheckDamage& damage) {
    return damage.note.find("in no segment") != std::string::npos || damage.note.find("not marked live") != std::string::npos;
  }));
}

TEST_F(FaultTest, ABranchPointThatLetGoWhatAChildHolds) {
  ASSERT_FALSE(image->gone.empty());
  image->gone.begin()->second.blocks[0] |= u64{1} << 1;
  expect("map", "as old as its parent");
}

TEST_F(FaultTest, AVisibleRootThatLetGo) {
  const GoneRecord record = image->gone.begin()->second;
  image->gone[{image->root_of("small").id, 0}] = record;
  expect("table", "no hidden one");
}

TEST_F(FaultTest, RootsThatMakeNoSense) {
  RootRecord& small = image->root_of("small");
  const RootRecord good = small;
  const auto wrong = [&](const char* note, const std::function<void()>& make) {
    make();
    expect("table", note);
    small = good;
  };
  wrong("its size makes no sense", [&] { small.size = 4097; });
  wrong("too low for its size", [&] { small.size = 2 * GiB; });
  wrong("younger than the checkpoint", [&] { small.number = image->super.checkpoint_number; });
  wrong("records a name younger", [&] { small.position = SlotName::of(image->super.log_segment, image->super.log_slot); });
  wrong("older than its parent", [&] { small.number = 1; });
  wrong("it is hidden and has a name", [&] { small.kind = RootKind::dying; });
  wrong("it has no name", [&] { small.entry = 0; });
  wrong("nothing in the catalog", [&] { small.entry = 500; });
  wrong("another root", [&] { small.entry = image->entry_of("dev").id; });
  wrong("of another kind", [&] { small.kind = RootKind::snapshot; });
  wrong("another size", [&] { small.size = 1 * MiB; });
  const u64 next = image->root.next_root;
  wrong("its number was never given", [&] { image->root.next_root = small.id; });
  image->root.next_root = next;
}

TEST_F(FaultTest, EntriesThatMakeNoSense) {
  EntryRecord& small = image->entry_of("small");
  EntryRecord& kept = image->entry_of("small", "kept");
  const EntryRecord good = small;
  const EntryRecord good_kept = kept;
  const auto wrong = [&](const char* note, const std::function<void()>& make) {
    make();
    expect("table", note);
    small = good;
    kept = good_kept;
  };
  wrong("another has the same name", [&] { small.name = "db"; });
  wrong("malformed", [&] { small.name = "a b"; });
  wrong("the same uuid", [&] { small.uuid = image->entry_of("db").uuid; });
  wrong("its size makes no sense", [&] { small.size = 0; });
  wrong("its origin was never there", [&] { small.origin = 900; });
  wrong("protected", [&] { small.is_protected = true; });
  wrong("belongs to another", [&] { small.volume = 1; });
  wrong("a snapshot of no volume", [&] { kept.volume = 700; });
  wrong("a snapshot of a snapshot", [&] { kept.volume = image->entry_of("dev", "new").id; });
  wrong("a snapshot without a map", [&] { kept.root = 0; });
  wrong("its root cannot be found", [&] { small.root = 77'777; });
  const u64 next = image->root.next_entry;
  wrong("its number was never given", [&] { image->root.next_entry = small.id; });
  image->root.next_entry = next;
}

TEST_F(FaultTest, ADeletedVolumeOfWhichNothingIsLeft) {
  EntryRecord lost = image->entry_of("small");
  lost.id = image->root.next_entry++;
  lost.name = "lost";
  lost.uuid[0] ^= 1;
  lost.root = 0;
  image->entries[lost.id] = lost;
  expect("table", "of which no snapshot is left");
}

// --- segments and tables --------------------------------------------------------------------------------------------

TEST_F(FaultTest, SegmentsOutOfPlace) {
  SegmentRecord& record = segment(SegmentKind::data, false);
  const SegmentRecord good = record;
  const auto wrong = [&](const char* note, const std::function<void()>& make) {
    make();
    expect("table", note);
    record = good;
  };
  wrong("do not lie in the pool", [&] { record.pieces[0].offset = 0; });
  wrong("do not lie in the pool", [&] { record.pieces[0].offset = world.disk().size; });
  wrong("do not lie in the pool", [&] { record.pieces[0].offset += 128; });
  wrong("shares its place", [&] {
    const SegmentRecord& pages = segment(SegmentKind::pages, false);
    record.pieces[0].offset = pages.pieces[0].offset;
    record.live.set(std::max<u64>(first_live(pages) * page_slot_size / block_size, 1), true);  // what lives there alone counts
  });
  wrong("shares its place", [&] { record.pieces[0].offset = round_down(image->super.root_offset, image->super.chunk_size); });
  wrong("does not lie in the pool", [&] { record.pieces[0].offset = round_up(good.pieces[0].offset + 1, image->super.chunk_size) - block_size; });
  wrong("header is marked live", [&] { record.live.set(0, true); });
  wrong("nothing lives in it", [&] { record.live = SlotSet(); });
}

TEST_F(FaultTest, PackedSegmentsOutOfPlace) {
  SegmentRecord& record = segment(SegmentKind::data, true);
  record.present.set(first_live(record), false);
  expect("table", "that it does not have");
}

TEST_F(FaultTest, ASegmentNumberThatWasNeverGiven) {
  image->super.segment_limit = segment(SegmentKind::data, false).number;
  expect("table", "its number was never given");
}

TEST_F(FaultTest, BucketsOutOfOrder) {
  image->save([](std::vector<RawBucket>& buckets) { std::swap(buckets.front(), buckets.back()); });
  expect_as_it_is("table", "not in order");
  image->save([](std::vector<RawBucket>& buckets) { ++buckets.front().key; });
  expect_as_it_is("table", "the wrong bucket");
  image->save([](std::vector<RawBucket>& buckets) {
    RawBucket& roots = *std::find_if(buckets.begin(), buckets.end(), [](auto& b) { return b.table == TableId::roots; });
    const auto copy = roots.bytes;
    roots.bytes.insert(roots.bytes.end(), copy.begin(), copy.end());
  });
  expect_as_it_is("table", "stands twice");
  image->save([](std::vector<RawBucket>& buckets) { buckets.front().bytes.pop_back(); });
  expect_as_it_is("table", "makes no sense");
}

TEST_F(FaultTest, ChangesOfTheSegmentTable) {
  const auto changes = [&](const SegmentChange& change, u64 generation) {
    Writer to;
    encode_change(to, change, 0);
    const std::vector<std::byte> bytes = to.take();
    image->save([&](std::vector<RawBucket>& buckets) { buckets.push_back({TableId::changes, generation, bytes}); });
  };
  const u64 number = segment(SegmentKind::data, false).number;
  const SegmentChange gone{
      .number = segment_number_max, .kind = SegmentChange::Kind::gone, .record = {}, .live = {}, .dead = {}};
  SegmentChange slots{.number = number, .kind = SegmentChange::Kind::slots, .record = {}, .live = {}, .dead = {}};
  changes(gone, 1);
  expect_as_it_is("superblock", "does not tell of changes");
  changes(gone, image->super.generation + 100);
  expect_as_it_is("table", "a checkpoint to come");
  changes(slots, 1);
  expect_as_it_is("table", "make no sense");
  slots.live = {{static_cast<u32>(image->super.chunk_size / block_size), 1}};
  changes(slots, 1);
  expect_as_it_is("table", "its segment does not have");
  slots.number = segment_number_max;
  changes(slots, 1);
  expect_as_it_is("table", "not in the segment table");
  // What they say counts: a block that lives is not dead.
  slots.number = number;
  slots.live.clear();
  slots.dead = {{static_cast<u32>(first_live(segment(SegmentKind::data, false))), 1}};
  changes(slots, 1);
  expect_as_it_is("space", "not marked live");
}

TEST_F(FaultTest, ALostBucketIsOneFindingAndNotAFlood) {
  // Of what cannot be read nothing else is concluded: the volumes in it are named, and no space is said to leak.
  const auto report_without = [&](TableId table) {
    image->save([&](std::vector<RawBucket>&) {});
    Image saved(world.disk());
    const Place place = saved.place_of(table);
    saved.flip(place.offset);
    auto report = world.verify();
    EXPECT_TRUE(report);
    return std::move(*report);
  };
  const CheckReport roots = report_without(TableId::roots);
  const auto leaks = [](const CheckDamage& damage) { return damage.kind == "space"; };
  EXPECT_TRUE(std::none_of(roots.damage.begin(), roots.damage.end(), leaks));
  std::set<std::string> named;
  for (const CheckDamage& damage : roots.damage) named.insert(damage.volume);
  EXPECT_TRUE(named.contains("small@kept") && named.contains("db") && named.contains(""));
  const CheckReport entries = report_without(TableId::entries);
  EXPECT_EQ(entries.damage.size(), 1u);
  const CheckReport gone = report_without(TableId::gone);
  EXPECT_TRUE(std::none_of(gone.damage.begin(), gone.damage.end(),
                           [](const CheckDamage& damage) { return !damage.volume.empty(); }));
}

// --- superblocks and log --------------------------------------------------------------------------------------------

TEST_F(FaultTest, OneSuperblockIsEnoughAndTheOtherIsReported) {
  image->flip(100);
  const auto report = world.verify();
  ASSERT_TRUE(report);
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_EQ(report->damage[0].kind, "superblock");
  image->flip(superblock_b_offset + 100);
  EXPECT_EQ(world.verify().code(), Code::corrupt);
}

TEST_F(FaultTest, SuperblocksThatDiffer) {
  image->super.size_max += MiB;
  seal_superblock(image->super);
  image->write(0, std::as_bytes(std::span(&image->super, 1)));
  expect_as_it_is("superblock", "differ");
}

TEST_F(FaultTest, ANewerFormatIsRefusedInWords) {
  image->super.version = 2;
  image->save_superblocks();
  EXPECT_EQ(world.verify().code(), Code::unsupported);
  image->super.version = 1;
  image->super.features.incompatible = 1;
  image->save_superblocks();
  EXPECT_EQ(world.verify().code(), Code::unsupported);
}

TEST_F(FaultTest, APoolThatIsMarkedAsClosedAndIsNot) {
  ASSERT_TRUE(world.open());
  world.write("small", 0, pattern(1, 4096));
  world.kill();
  Image killed(world.disk());
  killed.super.clean = 1;
  killed.save_superblocks();
  expect_as_it_is("log", "its log goes on");
}

TEST_F(FaultTest, SuperblocksFromThePast) {
  ASSERT_TRUE(world.open());
  const Image past(world.disk());
  world.sync();
  world.write("small", 0, pattern(1, 4096));
  world.sync();
  world.write("small", 0, pattern(2, 4096));
  world.kill();
  Image now(world.disk());
  now.write(0, std::as_bytes(std::span(&past.super, 1)));
  now.write(superblock_b_offset, std::as_bytes(std::span(&past.super, 1)));
  expect_as_it_is("superblock", "from the past");
}

TEST_F(FaultTest, ALogThatStandsWhereTheCheckpointHasSomething) {
  ASSERT_TRUE(world.open());
  world.write("small", 0, pattern(1, 4096));
  world.kill();
  const auto report = world.verify();
  ASSERT_TRUE(report && report->clean());
  Image killed(world.disk());
  // The block that the log just wrote is marked as one of a segment of the checkpoint.
  SegmentRecord planted{.number = killed.super.segment_limit - 1, .pieces = {{0, killed.super.log_base}}};
  planted.live = SlotSet(segment_slots(SegmentKind::data, killed.super.chunk_size));
  planted.live.set(killed.super.log_slot + 1, true);
  killed.segments[planted.number] = planted;
  killed.save();
  expect_as_it_is("log", "has something else");
}

TEST_F(FaultTest, ADeviceThatIsCutShort) {
  world.disk().size -= image->super.chunk_size;
  expect_as_it_is("space", "cut short");
}

}  // namespace
}  // namespace brindle::model
