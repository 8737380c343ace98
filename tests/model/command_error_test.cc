// command_error_test.cc: commands that make no sense, or come at the wrong moment: each is refused with its reason and changes nothing.
#include "model/world.h"
#include "runtime/sync.h"

namespace brindle::model {
namespace {

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
  EXPECT_EQ(world.run(engine().change_labels("db", many, {})).code(), Code::invalid);
  EXPECT_EQ(world.run(engine().set_labels("nobody", {})).code(), Code::not_found);
  EXPECT_EQ(world.run(engine().change_labels("nobody", {}, {})).code(), Code::not_found);
  EXPECT_EQ(engine().status().volumes, 1u);
  EXPECT_EQ(engine().status().snapshots, 1u);
  EXPECT_TRUE(engine().show("db")->labels.empty());
}

TEST_F(CommandErrorTest, ChangesOfLabelsThatComeTogetherAllCount) {
  ASSERT_TRUE(world.run(engine().set_labels("db", {{"gone", "x"}})));
  const auto change = [](EngineCore& engine, int i, Status& failed) -> Task<void> {
    Labels set;
    set["k" + std::to_string(i)] = "v";
    std::vector<std::string> removed;
    removed.emplace_back(i == 3 ? "gone" : "never there");
    const Status status = co_await engine.change_labels("db", std::move(set), std::move(removed));
    if (!status) failed = status;
  };
  Status failed;
  Gate gate(world.runtime());
  for (int i = 0; i < 8; ++i) gate.spawn(change(engine(), i, failed));
  world.runtime().run(gate.close());
  EXPECT_TRUE(failed.ok());
  const Labels labels = engine().show("db")->labels;
  EXPECT_EQ(labels.size(), 8u);
  EXPECT_EQ(labels.count("gone"), 0u);
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

/// A volume whose leaves have to be read, the first one for a second, before it is counted.
class CountedTest : public testing::Test {
 protected:
  CountedTest() : world({.verify_one_in = 0}) {
    EXPECT_TRUE(world.open());
    world.create("small", 64 * MiB);
    for (u64 i = 0; i < 32; ++i) world.write("small", i * 2 * MiB, pattern(i, 4096));
    world.close();
    EXPECT_TRUE(world.open());
  }
  /// Measures it, and does the other thing meanwhile; what the measuring ended with, and the reads that the device had seen by then.
  template <class Other>
  std::pair<Code, u64> measure_while(const Other& other) {
    const auto both = [&other](World& on) -> Task<std::pair<Code, u64>> {
      Gate gate(on.runtime());
      Code measured = Code::invalid;
      const auto measure = [](World& of, Code& out) -> Task<void> {
        auto info = co_await of.engine().measure("small");
        if (!info) out = info.code();
      };
      on.device().faults().slow_calls = 1;
      on.device().faults().slow_ns = second_ns;
      gate.spawn(measure(on, measured));
      co_await on.runtime().sleep(1);
      EXPECT_TRUE(co_await other(on.engine()));
      co_await gate.close();
      co_return std::pair(measured, on.device().reads());
    };
    return world.run(both(world));
  }
  World world;
};

TEST_F(CountedTest, WhatIsDeletedMeanwhileIsNotFound) {
  const auto remove = [](EngineCore& engine) {
    std::vector<std::string> names(1, "small");
    return engine.remove(std::move(names), false, true);
  };
  EXPECT_EQ(measure_while(remove).first, Code::not_found);
}

TEST_F(CountedTest, ADaemonThatStopsDoesNotWaitForTheAnswer) {
  const u64 before = world.device().reads();
  const auto [code, reads] = measure_while([](EngineCore& engine) { return engine.close(); });
  EXPECT_EQ(code, Code::stopping);
  EXPECT_LT(reads - before, 8u) << "of 33";
}

}  // namespace
}  // namespace brindle::model
