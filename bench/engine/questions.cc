// questions.cc: questions of the bench that take more than one step inside the engine.
#include <algorithm>
#include <deque>

#include "engine/verbs.h"

namespace brindle::bench {

namespace {

void make_volume(Rig& rig, const std::string& name, u64 size) {
  const auto make = [&] { return rig.engine().volume_create(name, size, {}); };
  expect(rig.run(make), name);
}

Measure run_load(Rig& rig, const std::string& name, LoadOptions options) {
  std::vector<std::unique_ptr<Handle>> handles;
  handles.push_back(rig.open(name, options.read));
  Load load(rig, rig.home(), {handles.front().get()}, options);
  expect(rig.run([&] { return load.run(); }), name);
  rig.close(std::move(handles));
  return load.measure();
}

void fill(Rig& rig, const std::string& name) {
  LoadOptions options;
  options.once = true;
  options.pattern = Pattern::dense;
  run_load(rig, name, options);
}

void sync_all(Rig& rig) { expect(rig.run([&] { return rig.engine().sync(); }), "sync"); }

void remove_all(Rig& rig, std::vector<std::string> names) {
  if (names.empty()) return;
  const auto gone = [&] { return rig.engine().remove(names, true, false); };
  expect(rig.run(gone), "remove");
}

/// The blocks of one pass: so many in each leaf of the volume, spread over 64 KiB pieces or next to each other.
std::vector<u64> blocks_of_pass(u64 volume_blocks, u64 writes_a_leaf, bool spread, Rng& rng) {
  constexpr u64 piece = 16;  // blocks of 64 KiB
  std::vector<u64> blocks;
  std::vector<u64> pieces(leaf_blocks / piece);
  for (u64 leaf = 0; leaf < volume_blocks / leaf_blocks; ++leaf) {
    if (spread) {
      for (u64 i = 0; i < pieces.size(); ++i) pieces[i] = i;
      for (u64 i = 0; i < std::min<u64>(writes_a_leaf, pieces.size()); ++i) {
        std::swap(pieces[i], pieces[rng.between(i, pieces.size() - 1)]);
        blocks.push_back(leaf * leaf_blocks + pieces[i] * piece + rng.below(piece));
      }
    } else {
      const u64 first = rng.below(leaf_blocks - writes_a_leaf + 1);
      for (u64 i = 0; i < writes_a_leaf; ++i) blocks.push_back(leaf * leaf_blocks + first + i);
    }
  }
  for (u64 i = 0; i + 1 < blocks.size(); ++i) std::swap(blocks[i], blocks[rng.between(i, blocks.size() - 1)]);
  return blocks;
}

}  // namespace

/// Passes over the volume, each block of a pass once, with or without a snapshot before each. What lies between the passes
/// is not measured.
std::string touch(Rig& rig, Words& words) {
  const std::string name = words.text("name", "v");
  const u64 writes_a_leaf = words.number("leaf_writes", 4);
  const u64 passes = words.number("passes", 1);
  const bool spread = words.flag("spread");
  const bool with_snapshot = words.flag("snapshot");
  LoadOptions options;
  options.depth = words.number("depth", 32);
  std::vector<std::unique_ptr<Handle>> handles;
  handles.push_back(rig.open(name));
  Rng rng(words.number("seed", now_ns()));
  Measure all;
  std::vector<std::string> made;
  for (u64 pass = 0; pass < passes; ++pass) {
    const auto blocks = blocks_of_pass(handles.front()->size() / block_size, writes_a_leaf, spread, rng);
    sync_all(rig);
    if (with_snapshot) {
      made.push_back(fmt::format("{}@touch{}", name, pass));
      const std::vector<std::string> one{made.back()};
      expect(rig.run([&] { return rig.engine().snapshot_create(one, {}); }), "snapshot");
    }
    options.list = &blocks;
    Load load(rig, rig.home(), {handles.front().get()}, options);
    expect(rig.run([&] { return load.run(); }), name);
    all.merge(load.measure());
  }
  rig.close(std::move(handles));
  remove_all(rig, made);
  sync_all(rig);
  return all.json();
}

namespace {

struct CommandRun {
  std::string what, name;
  u64 count = 0;
  u64 pause_ns = 0;
  Measure took;
  std::vector<std::string> made;
  Load* load = nullptr;
};

Task<Status> one_command(Rig& rig, Handle& volume, CommandRun& run, u64 number) {
  if (run.what == "flush") return volume.flush();
  std::vector<std::string> names;
  if (run.what == "snapshot") {
    names.push_back(fmt::format("{}@latency{}", run.name, number));
    run.made.push_back(names.front());
    return rig.engine().snapshot_create(std::move(names), {});
  }
  names.push_back(fmt::format("{}-latency{}", run.name, number));
  run.made.push_back(names.front());
  return rig.engine().clone(run.name + "@latency", std::move(names), {});
}

Task<Status> commands(Rig& rig, Handle& volume, CommandRun& run) {
  Status status;
  run.took.begin(now_ns());
  for (u64 i = 0; i < run.count && status; ++i) {
    co_await rig.home().sleep(run.pause_ns);
    const u64 began = now_ns();
    status = co_await one_command(rig, volume, run, i);
    run.took.add(now_ns() - began);
  }
  run.took.end(now_ns());
  if (run.load != nullptr) run.load->stop();
  co_return status;
}

Task<void> into(Task<Status> task, Status& status) { status = co_await std::move(task); }

Task<Status> both(Rig& rig, Task<Status> first, Task<Status> second) {
  Status a;
  Status b;
  Gate gate(rig.home());
  gate.spawn(into(std::move(first), a));
  gate.spawn(into(std::move(second), b));
  co_await gate.close();
  co_return a ? b : a;
}

}  // namespace

/// How long a flush, a snapshot or a clone takes inside the daemon, alone or beside a load of writes.
std::string latency(Rig& rig, Words& words) {
  CommandRun run;
  run.what = words.text("what", "snapshot");
  run.name = words.text("name", "v");
  run.count = words.number("count", 200);
  run.pause_ns = words.number("pause_us", 1000) * microsecond_ns;
  LoadOptions options;
  options.depth = words.number("load_depth", 0);
  options.ms = 600'000;
  std::vector<std::unique_ptr<Handle>> handles;
  handles.push_back(rig.open(run.name));
  Handle& volume = *handles.front();
  if (run.what == "clone") {
    const std::vector<std::string> base{run.name + "@latency"};
    expect(rig.run([&] { return rig.engine().snapshot_create(base, {}); }), "snapshot");
  }
  Measure writes;
  if (options.depth == 0) {
    expect(rig.run([&] { return commands(rig, volume, run); }), run.what);
  } else {
    Load load(rig, rig.home(), {&volume}, options);
    run.load = &load;
    expect(rig.run([&] { return both(rig, load.run(), commands(rig, volume, run)); }), run.what);
    writes = load.measure();
  }
  rig.close(std::move(handles));
  remove_all(rig, run.made);
  if (run.what == "clone") remove_all(rig, {run.name + "@latency"});
  sync_all(rig);
  return run.took.json() + fmt::format(R"(, "writes_iops": {:.1f})", writes.per_second());
}

namespace {

struct Snapshotter {
  std::vector<std::string> volumes;
  u64 every_ns = second_ns;
  u64 keep = 600;
  u64 until_ns = 0;
  u64 made = 0, removed = 0;
};

Task<Status> snapshots(Rig& rig, Snapshotter& plan) {
  std::deque<std::vector<std::string>> kept;
  Status status;
  u64 due = now_ns() + plan.every_ns;
  while (due < plan.until_ns && status) {
    const u64 now = now_ns();
    co_await rig.home().sleep(due > now ? due - now : 0);
    due += plan.every_ns;
    std::vector<std::string> names;
    for (const std::string& volume : plan.volumes) names.push_back(fmt::format("{}@h{}", volume, plan.made));
    ++plan.made;
    kept.push_back(names);
    status = co_await rig.engine().snapshot_create(std::move(names), {});
    if (status && kept.size() > plan.keep) {
      status = co_await rig.engine().remove(kept.front(), false, false);
      kept.pop_front();
      ++plan.removed;
    }
  }
  while (!kept.empty() && status) {
    status = co_await rig.engine().remove(kept.front(), false, false);
    kept.pop_front();
  }
  co_return status;
}

}  // namespace

/// Volumes under full write load, with a snapshot of each at every tick, the last so many kept.
std::string history(Rig& rig, Words& words) {
  const u64 volumes = words.number("volumes", 10);
  LoadOptions options = load_options(words);
  Snapshotter plan;
  plan.every_ns = words.number("every_ms", 1000) * millisecond_ns;
  plan.keep = words.number("keep", 600);
  const bool with_snapshots = words.flag("snapshots");
  std::vector<std::unique_ptr<Handle>> handles;
  std::vector<Handle*> opened;
  for (u64 i = 0; i < volumes; ++i) {
    plan.volumes.push_back(fmt::format("history{}", i));
    handles.push_back(rig.open(plan.volumes.back()));
    opened.push_back(handles.back().get());
  }
  Load load(rig, rig.home(), opened, options);
  plan.until_ns = with_snapshots ? now_ns() + (options.ms + 100) * millisecond_ns : 0;
  expect(rig.run([&] { return both(rig, load.run(), snapshots(rig, plan)); }), "history");
  rig.close(std::move(handles));
  sync_all(rig);
  return load.measure().json() + fmt::format(R"(, "snapshots": {}, "removed": {})", plan.made, plan.removed);
}

/// A volume `name` with `count` snapshots of it, or the last of `count` clones, each of a snapshot of the one before; between any
/// two `writes` blocks are written. `by=nothing`: the same writes without either. The volume holds data everywhere.
std::string chain(Rig& rig, Words& words) {
  const std::string name = words.text("name", "deep");
  const u64 count = words.number("count", 1000);
  const u64 writes = words.number("writes", 64);
  const std::string by = words.text("by", "snapshots");
  make_volume(rig, name, words.number("size", 256 * MiB));
  fill(rig, name);
  std::string head = name;
  LoadOptions options;
  options.count = writes;
  for (u64 i = 0; i < count; ++i) {
    const std::vector<std::string> one{fmt::format("{}@chain{}", head, i)};
    if (by != "nothing") expect(rig.run([&] { return rig.engine().snapshot_create(one, {}); }), "snapshot");
    if (by == "clones") {
      head = fmt::format("{}-{}", name, i);
      const std::vector<std::string> names{head};
      expect(rig.run([&] { return rig.engine().clone(one.front(), names, {}); }), "clone");
    }
    options.seed = i + 1;
    if (writes > 0) run_load(rig, head, options);
  }
  sync_all(rig);
  return fmt::format(R"("head": "{}")", head);
}

std::string clones(Rig& rig, Words& words) {
  const std::string name = words.text("name", "v");
  const u64 count = words.number("count", 10'000);
  const std::vector<std::string> base{name + "@many"};
  expect(rig.run([&] { return rig.engine().snapshot_create(base, {}); }), "snapshot");
  std::vector<std::string> names;
  for (u64 i = 0; i < count; ++i) names.push_back(fmt::format("m{}", i));
  const u64 began = now_ns();
  expect(rig.run([&] { return rig.engine().clone(base.front(), names, {}); }), "clone");
  const double seconds = static_cast<double>(now_ns() - began) / 1e9;
  for (size_t at = 0; at < names.size(); at += 1000) {
    remove_all(rig, {names.begin() + static_cast<std::ptrdiff_t>(at),
                     names.begin() + static_cast<std::ptrdiff_t>(std::min(at + 1000, names.size()))});
  }
  remove_all(rig, base);
  sync_all(rig);
  return fmt::format(R"("per_second": {:.1f}, "seconds": {:.5f})", static_cast<double>(count) / seconds, seconds);
}

namespace {

struct Deletion {
  u64 writes = 0, command_ns = 0, background_ns = 0;
};

/// On the home core, so that the figures are the engine's own.
Task<Status> delete_one(Rig& rig, std::vector<std::string> names, Deletion& cost) {
  const u64 writes = rig.device().writes;
  const u64 began = now_ns();
  const Status status = co_await rig.engine().remove(std::move(names), false, false);
  const u64 returned = now_ns();
  cost.writes = rig.device().writes - writes;
  cost.command_ns = returned - began;
  for (bool more = true; more;) more = co_await rig.engine().reclaim_some(false);
  cost.background_ns = now_ns() - returned;
  co_return status;
}

}  // namespace

/// Deletes a snapshot that shares nothing with its volume, and one that shares everything.
std::string delete_cost(Rig& rig, Words& words) {
  const std::string name = words.text("name", "v");
  const std::vector<std::string> one{name + "@gone"};
  const auto snap = [&] { return rig.engine().snapshot_create(one, {}); };
  auto handle = rig.open(name);
  const double blocks = static_cast<double>(handle->size() / block_size);
  std::vector<std::unique_ptr<Handle>> handles;
  handles.push_back(std::move(handle));
  rig.close(std::move(handles));
  Deletion freed;
  Deletion shared;
  expect(rig.run(snap), "snapshot");
  fill(rig, name);
  sync_all(rig);
  expect(rig.run([&] { return delete_one(rig, one, freed); }), "delete");
  sync_all(rig);
  expect(rig.run(snap), "snapshot");
  sync_all(rig);
  expect(rig.run([&] { return delete_one(rig, one, shared); }), "delete");
  sync_all(rig);
  return fmt::format(R"("writes": {}, "command_us": {:.1f}, "ns_freed": {:.3f}, "ns_shared": {:.3f}, "blocks": {})",
                     std::max(freed.writes, shared.writes), static_cast<double>(freed.command_ns) / 1e3,
                     static_cast<double>(freed.background_ns) / blocks, static_cast<double>(shared.background_ns) / blocks,
                     blocks);
}

/// Two volumes used at once: both loads on the home core, or one of them on a second core, through an outpost.
std::string cores(Rig& rig, Words& words) {
  const bool two = words.number("cores", 1) == 2;
  LoadOptions options = load_options(words);
  std::vector<std::unique_ptr<Handle>> handles;
  for (const std::string& name : split(words.text("name", "a,b"))) handles.push_back(rig.open(name));
  Load here(rig, rig.home(), {handles[0].get()}, options);
  options.seed += 1000;
  Reactor& other = two ? rig.second() : rig.home();
  Load there(rig, other, {handles[1].get()}, options);
  Status far;
  std::thread beside([&] { far = call_blocking(other, [&] { return there.run(); }); });
  expect(rig.run([&] { return here.run(); }), "the load");
  beside.join();
  expect(far, "the load");
  rig.close(std::move(handles));
  const double first = here.measure().per_second();
  const double second = there.measure().per_second();
  return fmt::format(R"("iops": {:.1f}, "first": {:.1f}, "second": {:.1f})", first + second, first, second);
}

}  // namespace brindle::bench
