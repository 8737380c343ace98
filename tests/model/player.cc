#include "model/player.h"

#include <algorithm>

#include <fmt/format.h>

namespace brindle::model {

namespace {

constexpr u64 volume_blocks_max = 1600;  // a little more than three leaves
constexpr size_t names_max = 24;

}  // namespace

Player::Player(PlayerOptions options)
    : options_(options),
      rng_(options.seed),
      world_({.seed = options.seed, .pool_size = options.pool_size, .memory_max = 12 * MiB}) {}

void Player::open() {
  const Status status = world_.open();
  ASSERT_TRUE(status) << status.error().message;
}

std::vector<std::string> Player::names(bool volumes, bool snapshots) {
  std::vector<std::string> names;
  if (volumes) {
    for (const auto& [name, content] : state_.volumes) names.push_back(name);
  }
  if (snapshots) {
    for (const auto& [name, content] : state_.snapshots) names.push_back(name);
  }
  return names;
}

bool Player::acceptable(const Status& status, std::string_view what) {
  if (status) return true;
  say(fmt::format("{}: {}", what, status.error().message));
  EXPECT_EQ(status.code(), Code::no_space) << what << ": " << status.error().message;
  return false;
}

void Player::play() {
  open();
  world_.sync();
  used_when_new_ = world_.engine().status().used;
  for (u64 round = 0; round < options_.rounds && !testing::Test::HasFailure(); ++round) {
    step();
    if (options_.check_always) check_space();
  }
  if (testing::Test::HasFailure()) return;
  check_all(state_);
  check_space();
  // Everything goes, in random order.
  for (auto left = names(true, true); !left.empty() && !testing::Test::HasFailure(); left = names(true, true)) {
    const std::string name = pick(left);
    say("delete " + name);
    world_.remove(name);
    state_.remove(name);
    if (rng_.one_in(10)) crash();
  }
  world_.sync();
  EXPECT_EQ(world_.engine().status().used, used_when_new_) << world_.engine().live_blocks() << " blocks are left";
  EXPECT_EQ(world_.engine().status().reclaiming, 0u);
  world_.close();
}

void Player::step() {
  switch (rng_.below(16)) {
    case 0: case 1: case 2: case 3: case 4: case 5: write_some(); break;
    case 6: case 7: case 8: case 9: case 10: command(); break;
    case 11: case 12: ask(); break;
    case 13: crash(); break;
    case 14:
      if (rng_.one_in(2)) {
        crash_under_writes();
      } else if (options_.power_loss) {
        power_loss_in_order();
      }
      break;
    default:
      if (rng_.one_in(2)) {
        check_space();
      } else {
        say("a quiet while");
        world_.runtime().run_for(rng_.below(8 * second_ns));
      }
  }
}

// --- writing --------------------------------------------------------------------------------------------------------

Player::Write Player::random_write(const std::string& volume, bool whole_zeroes) {
  const u64 size = state_.volumes[volume].size;
  Write write{volume, 0, {}, 0};
  const bool aligned = !rng_.one_in(3);
  write.offset = rng_.below(size);
  write.length = rng_.one_in(4) ? rng_.between(1, 300 * KiB) : rng_.between(1, 20 * KiB);
  if (aligned) {
    write.offset = round_down(write.offset, block_size);
    write.length = round_up(write.length, block_size);
  }
  const u64 kind = rng_.below(10);
  if (kind < 2 && rng_.one_in(3)) write.length = size;
  if (kind == 0 && whole_zeroes) {
    write.offset = round_down(write.offset, block_size);
    write.length = round_up(write.length, block_size);
  }
  write.length = std::min(write.length, size - write.offset);
  write.discard = kind == 1;
  if (kind >= 2) write.bytes = pattern(++stamp_, write.length);
  return write;
}

void Player::apply(State& state, const Write& write) {
  Content& content = state.volumes[write.volume];
  if (!write.bytes.empty()) {
    content.write(write.offset, write.bytes);
  } else {
    content.zero(write.offset, write.length, !write.discard);
  }
}

Task<void> Player::issue(Handle& handle, Write& write) {
  Status status;
  if (!write.bytes.empty()) {
    status = co_await handle.write(write.offset, std::as_bytes(std::span(write.bytes)), false);
  } else if (write.discard) {
    status = co_await handle.discard(write.offset, write.length, false);
  } else {
    status = co_await handle.zero(write.offset, write.length, false);
  }
  write.ok = acceptable(status, "write");
  write.done = true;
}

void Player::write_some() {
  const auto volumes = names(true, false);
  if (volumes.empty()) return;
  // Writes at once, none of which touches a block of another.
  std::vector<std::unique_ptr<Handle>> handles;
  std::vector<Write> writes;
  for (u64 i = rng_.between(1, 12); i > 0; --i) {
    Write write = random_write(pick(volumes), false);
    const bool clash = std::any_of(writes.begin(), writes.end(), [&](const Write& other) {
      return other.volume == write.volume && round_down(other.offset, block_size) < write.offset + write.length &&
             round_down(write.offset, block_size) < other.offset + other.length;
    });
    if (clash) continue;
    writes.push_back(std::move(write));
  }
  for (const Write& write : writes) {
    say(fmt::format("{} {} at {} + {}", write.bytes.empty() ? write.discard ? "discard" : "zero" : "write", write.volume,
                    write.offset, write.length));
    handles.push_back(world_.handle(write.volume));
  }
  Gate gate(world_.runtime());
  for (size_t i = 0; i < writes.size(); ++i) gate.spawn(issue(*handles[i], writes[i]));
  world_.runtime().run(gate.close());
  for (const Write& write : writes) {
    if (write.ok) {
      apply(state_, write);
      continue;
    }
    // A refused request may have been carried out in part where it was longer than what is atomic: see what is there.
    Content& content = state_.volumes[write.volume];
    const u64 first = write.offset / block_size;
    const u64 end = div_up(write.offset + write.length, block_size);
    State after = state_;
    apply(after, write);
    for (u64 block = first; block < end; ++block) {
      const std::string now = world_.read(write.volume, block * block_size, block_size);
      if (now == content.read(block * block_size, block_size)) continue;
      const Content& other = after.volumes[write.volume];
      EXPECT_EQ(now, other.read(block * block_size, block_size));
      const auto at = other.blocks.find(block);
      if (at == other.blocks.end()) {
        content.blocks.erase(block);
      } else {
        content.blocks[block] = at->second;
      }
    }
  }
  if (rng_.one_in(4)) {
    const Status flushed = world_.run(handles.front()->flush());
    EXPECT_TRUE(flushed);
  }
}

// --- commands -------------------------------------------------------------------------------------------------------

void Player::command() {
  const auto volumes = names(true, false);
  const auto snapshots = names(false, true);
  const bool many = volumes.size() + snapshots.size() >= names_max;
  EngineCore& engine = world_.engine();
  const u64 kind = volumes.empty() ? 0 : rng_.below(16);
  if (kind <= 1 && !many) {
    const std::string name = fmt::format("v{}", ++made_);
    const u64 size = rng_.between(1, volume_blocks_max) * block_size;
    say(fmt::format("create {} {}", name, size));
    const auto made = world_.run(engine.volume_create(name, size, {}));
    if (acceptable(made ? Status{} : made.error(), "create")) state_.volumes[name].size = size;
  } else if (kind <= 5 && !many) {
    std::vector<std::string> made;
    std::set<std::string> of;
    for (u64 i = rng_.between(1, 3); i > 0; --i) of.insert(pick(volumes));
    for (const std::string& volume : of) made.push_back(fmt::format("{}@s{}", volume, ++made_));
    say("snapshot " + fmt::format("{}", fmt::join(made, " ")));
    const Status status = world_.run(engine.snapshot_create(made, {}));
    if (!acceptable(status, "snapshot")) return;
    for (const std::string& name : made) state_.snapshots[name] = state_.volumes[name.substr(0, name.find('@'))];
  } else if (kind <= 8 && !many) {
    const std::string from = pick(names(true, true));
    std::vector<std::string> made;
    for (u64 i = rng_.between(1, 3); i > 0; --i) made.push_back(fmt::format("c{}", ++made_));
    say(fmt::format("clone {} {}", from, fmt::join(made, " ")));
    const Status status = world_.run(engine.clone(from, made, {}));
    if (!acceptable(status, "clone")) return;
    for (const std::string& name : made) state_.volumes[name] = *state_.find(from);
  } else if (kind <= 10) {
    if (snapshots.empty()) return;
    const std::string to = pick(snapshots);
    const std::string volume = to.substr(0, to.find('@'));
    if (state_.volumes.count(volume) == 0) return;
    const bool discard = rng_.one_in(2) || many;
    say(fmt::format("rollback {} discard {}", to, discard));
    const auto saved = world_.run(engine.rollback(std::vector<std::string>(1, to), discard, false));
    if (!acceptable(saved ? Status{} : saved.error(), "rollback")) return;
    if (!discard) {
      EXPECT_EQ(saved->size(), 1u);
      state_.snapshots[saved->front()] = state_.volumes[volume];
    }
    state_.volumes[volume] = state_.snapshots[to];
  } else if (kind == 11) {
    const std::string name = pick(volumes);
    const u64 size = rng_.between(1, volume_blocks_max) * block_size;
    say(fmt::format("resize {} {}", name, size));
    const Status status = world_.run(engine.volume_resize(name, size, true));
    if (acceptable(status, "resize")) state_.volumes[name].resize(size);
  } else if (kind == 12) {
    const std::string name = pick(volumes);
    const std::string to = fmt::format("r{}", ++made_);
    say(fmt::format("rename {} {}", name, to));
    const Status status = world_.run(engine.rename(name, to));
    if (!acceptable(status, "rename")) return;
    for (const std::string& snapshot : state_.snapshots_of(name)) {
      auto node = state_.snapshots.extract(snapshot);
      node.key() = to + snapshot.substr(snapshot.find('@'));
      state_.snapshots.insert(std::move(node));
    }
    auto node = state_.volumes.extract(name);
    node.key() = to;
    state_.volumes.insert(std::move(node));
  } else {
    const auto all = names(true, true);
    std::set<std::string> set;
    for (u64 i = rng_.between(1, many ? 8 : 2); i > 0; --i) set.insert(pick(all));
    const std::vector<std::string> gone(set.begin(), set.end());
    say(fmt::format("delete {}", fmt::join(gone, " ")));
    const auto frees = world_.run(engine.frees(gone, false));
    EXPECT_TRUE(frees);
    if (!frees) return;
    EXPECT_EQ(*frees, state_.freed_blocks(set) * block_size) << "what deleting would free";
    const Status status = world_.run(engine.remove(gone, false, false));
    EXPECT_TRUE(status) << status.error().message;
    for (const std::string& name : gone) state_.remove(name);
  }
}

// --- asking ---------------------------------------------------------------------------------------------------------

void Player::ask() {
  const auto all = names(true, true);
  if (all.empty()) return;
  const std::string name = pick(all);
  const Content& content = *state_.find(name);
  switch (rng_.below(4)) {
    case 0: {
      const u64 offset = rng_.below(content.size);
      const u64 length = std::min(rng_.between(1, 600 * KiB), content.size - offset);
      EXPECT_EQ(world_.read(name, offset, length) == content.read(offset, length), true) << "read of " << name;
      break;
    }
    case 1: {
      const auto counted = world_.run(world_.engine().measure(name));
      ASSERT_TRUE(counted);
      EXPECT_EQ(*counted->referenced, content.blocks.size() * block_size) << "referenced of " << name;
      EXPECT_EQ(*counted->exclusive, state_.freed_blocks({name}) * block_size) << "exclusive of " << name;
      break;
    }
    case 2: {
      const auto handle = world_.handle(name, true);
      const auto extents = world_.run(handle->extents(0, content.size, 100'000));
      ASSERT_TRUE(extents);
      u64 block = 0;
      for (const Extent& extent : *extents) {
        for (const u64 end = block + extent.length / block_size; block < end; ++block) {
          EXPECT_EQ(extent.data, content.blocks.count(block) > 0) << name << " block " << block;
        }
      }
      EXPECT_EQ(block * block_size, content.size);
      break;
    }
    default: {
      const std::string other = pick(all);
      const auto ranges = world_.run(world_.engine().diff(name, other));
      if (!ranges) {
        EXPECT_EQ(ranges.code(), Code::invalid);  // of no common history
        return;
      }
      std::map<u64, bool> differs;  // block -> is a hole in the second
      const Content& second = *state_.find(other);
      for (const auto& [number, block] : second.blocks) {
        const auto at = content.blocks.find(number);
        if (at == content.blocks.end() || at->second != block) differs[number] = false;
      }
      for (const auto& [number, block] : content.blocks) {
        if (second.blocks.count(number) == 0 && number < second.size / block_size) differs[number] = true;
      }
      std::map<u64, bool> told;
      for (const DiffRange& range : *ranges) {
        for (u64 at = range.offset; at < range.offset + range.length; at += block_size) {
          if (at < second.size) told[at / block_size] = range.kind == Change::zero;
        }
      }
      EXPECT_EQ(told == differs, true) << "diff of " << name << " and " << other;
    }
  }
}

void Player::check_all(const State& against) {
  const State now = engine_state();
  EXPECT_TRUE(now.same_bytes(against));
}

void Player::check_space() {
  say("sync");
  world_.sync();
  const auto status = world_.engine().status();
  EXPECT_EQ(world_.engine().live_blocks(), state_.live_blocks()) << "blocks that are live";
  EXPECT_EQ(status.reclaiming, 0u);
}

State Player::engine_state() {
  State state;
  for (const bool snapshots : {false, true}) {
    for (const EntryInfo& info : world_.engine().list(snapshots, "")) {
      Content content;
      content.size = info.size;
      const auto handle = world_.handle(info.name, true);
      const auto extents = world_.run(handle->extents(0, info.size, 1'000'000));
      EXPECT_TRUE(extents);
      u64 offset = 0;
      for (const Extent& extent : *extents) {
        if (extent.data) content.write(offset, world_.read(info.name, offset, extent.length));
        offset += extent.length;
      }
      (snapshots ? state.snapshots : state.volumes)[info.name] = std::move(content);
    }
  }
  return state;
}

// --- crashing -------------------------------------------------------------------------------------------------------

void Player::crash() {
  if (rng_.one_in(3)) {
    say("close");
    world_.close();
  } else {
    // Everything acknowledged stays; a quiet while before it may put the crash into a checkpoint.
    world_.runtime().run_for(rng_.below(3) * rng_.below(second_ns));
    say("kill");
    world_.kill();
  }
  open();
  if (rng_.one_in(3)) check_all(state_);
}

void Player::crash_under_writes() {
  const auto volumes = names(true, false);
  if (volumes.empty()) return;
  std::vector<std::unique_ptr<Handle>> handles;
  // On the heap, and left there: the coroutines of the dead engine refer to them.
  auto& writes = *new std::vector<Write>();
  for (u64 i = rng_.between(1, 12); i > 0; --i) {
    Write write = random_write(pick(volumes), true);
    const bool clash = std::any_of(writes.begin(), writes.end(), [&](const Write& other) {
      return other.volume == write.volume && round_down(other.offset, block_size) < write.offset + write.length &&
             round_down(write.offset, block_size) < other.offset + other.length;
    });
    if (!clash) writes.push_back(std::move(write));
  }
  say(fmt::format("kill under {} writes", writes.size()));
  for (const Write& write : writes) handles.push_back(world_.handle(write.volume));
  auto& gate = *new Gate(world_.runtime());
  for (size_t i = 0; i < writes.size(); ++i) gate.spawn(issue(*handles[i], writes[i]));
  for (u64 steps = rng_.below(200); steps > 0; --steps) static_cast<void>(world_.runtime().step());
  world_.kill();
  for (auto& handle : handles) static_cast<void>(handle.release());
  open();
  // Each write is there or not; those that had returned are.
  for (const Write& write : writes) {
    State after = state_;
    apply(after, write);
    const u64 first = round_down(write.offset, block_size);
    const u64 length = round_up(write.offset + write.length, block_size) - first;
    const std::string now = world_.read(write.volume, first, length);
    const std::string before = state_.volumes[write.volume].read(first, length);
    const std::string then = after.volumes[write.volume].read(first, length);
    if (now == then && (write.ok || before != then)) {
      apply(state_, write);
      continue;
    }
    EXPECT_FALSE(write.ok) << "an acknowledged write is lost";
    if (now == before && !(write.length > 256 * KiB || write.bytes.empty())) continue;
    EXPECT_TRUE(now == before || write.length > 256 * KiB || write.bytes.empty()) << "a write is torn";
    // Longer ones in parts; and holes and zeroes read alike, so ask which they are.
    const Content is = engine_state().volumes[write.volume];
    Content& content = state_.volumes[write.volume];
    const Content& other = after.volumes[write.volume];
    for (u64 block = first / block_size; block < (first + length) / block_size; ++block) {
      const auto there = is.blocks.find(block);
      const auto mine = content.blocks.find(block);
      const auto theirs = other.blocks.find(block);
      if (there == is.blocks.end()) {
        EXPECT_TRUE(mine == content.blocks.end() || theirs == other.blocks.end());
        content.blocks.erase(block);
      } else if (mine == content.blocks.end() || *mine->second != *there->second) {
        ASSERT_TRUE(theirs != other.blocks.end() && *theirs->second == *there->second) << "neither old nor new";
        content.blocks[block] = theirs->second;
      }
    }
  }
}

/// One operation after the other, then the power goes: what is left is the state after some of them, at least those
/// that a flush covered.
void Player::power_loss_in_order() {
  const auto volumes = names(true, false);
  if (volumes.empty()) return;
  {
    const auto handle = world_.handle(volumes.front());
    const Status flushed = world_.run(handle->flush());
    ASSERT_TRUE(flushed);
  }
  std::vector<State> states{state_};
  for (u64 i = rng_.between(1, 12); i > 0; --i) {
    Write write = random_write(pick(volumes), true);
    write.length = std::min(write.length, 240 * KiB);
    if (!write.bytes.empty()) write.bytes.resize(write.length);
    const auto handle = world_.handle(write.volume);
    say(fmt::format("  {} {} at {} + {}", write.bytes.empty() ? write.discard ? "discard" : "zero" : "write", write.volume,
                    write.offset, write.length));
    world_.runtime().run(issue(*handle, write));
    if (!write.ok) break;
    apply(state_, write);
    states.push_back(state_);
    if (rng_.one_in(5)) {
      const Status flushed = world_.run(handle->flush());
      ASSERT_TRUE(flushed);
      states.assign(1, state_);
    }
  }
  say(fmt::format("power loss after {} operations since the flush", states.size() - 1));
  world_.lose_power();
  open();
  const State now = engine_state();
  for (auto at = states.rbegin(); at != states.rend(); ++at) {
    if (!now.same_bytes(*at)) continue;
    // Of two that read alike, the one whose holes are the same.
    const bool same_holes = std::all_of(now.volumes.begin(), now.volumes.end(), [&](const auto& item) {
      const auto& other = at->volumes[item.first].blocks;
      return item.second.blocks.size() == other.size() &&
             std::equal(other.begin(), other.end(), item.second.blocks.begin(),
                        [](const auto& a, const auto& b) { return a.first == b.first; });
    });
    if (!same_holes) continue;
    say(fmt::format("  of which {} are lost; {} blocks live", at - states.rbegin(), world_.engine().live_blocks()));
    state_ = *at;
    return;
  }
  ADD_FAILURE() << "after a power loss the pool holds no state that it ever had since the flush";
}

}  // namespace brindle::model
