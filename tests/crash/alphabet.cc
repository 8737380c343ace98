// alphabet.cc: the operations that workloads are made of.
#include <algorithm>

#include "crash/workload.h"
#include "runtime/sync.h"

namespace brindle::crash {

namespace {

constexpr u64 small_size = 5 * MiB / 2;  // cuts a leaf in the middle
constexpr u64 quiet_ns = 7 * second_ns;  // long enough for an idle pool to checkpoint, compact and punch

std::vector<std::string> one(std::string name) { return {std::move(name)}; }

// --- data -----------------------------------------------------------------------------------------------------------

bool write_at(Workload& on, const std::string& name, u64 offset, u64 length, bool fua) {
  if (on.state().volumes.count(name) == 0 || on.state().volumes.at(name).size < offset + length) return false;
  const std::string bytes = on.fresh_bytes(length);
  model::State after = on.state();
  after.volumes[name].write(offset, bytes);
  on.may_become(after);
  on.began();
  const auto handle = on.handle(name);
  on.ended(on.runtime().run(handle->write(offset, std::as_bytes(std::span(bytes)), fua)),
           fua ? Workload::Promise::durable : Workload::Promise::known);
  return true;
}

/// The newest clone, "" where there is none.
std::string newest_clone(const model::State& state) {
  std::string newest;
  for (const auto& [name, content] : state.volumes) {
    if (name != "db" && (newest.empty() || newest == "dev" || name.size() > newest.size() || (name != "dev" && name > newest))) {
      newest = name;
    }
  }
  return newest;
}

bool write_new(Workload& on) { return write_at(on, "db", 9 * block_size, block_size, false); }
bool overwrite(Workload& on) { return write_at(on, "db", 0, block_size, false); }
bool write_unaligned(Workload& on) {
  return write_at(on, "db", leaf_blocks * block_size - 1000, 2000, false);  // two blocks of two leaves
}
bool write_fua(Workload& on) { return write_at(on, "db", 1 * block_size, block_size, true); }
bool write_bulk(Workload& on) { return write_at(on, "db", 20 * block_size, 62 * block_size, false); }
bool write_clone(Workload& on) {
  const std::string clone = newest_clone(on.state());
  return !clone.empty() && write_at(on, clone, 3 * block_size, 2 * block_size, false);
}

bool flush(Workload& on) {
  on.began();
  const auto handle = on.handle("db");
  on.ended(on.runtime().run(handle->flush()), Workload::Promise::durable);
  return true;
}

bool discard(Workload& on) {
  model::State after = on.state();
  after.volumes["db"].zero(0, 3 * block_size, false);
  on.may_become(after);
  on.began();
  const auto handle = on.handle("db");
  on.ended(on.runtime().run(handle->discard(0, 3 * block_size, false)), Workload::Promise::known);
  return true;
}

/// So much that the engine gives it to a root that dies.
bool trim(Workload& on) {
  constexpr u64 offset = 1 * leaf_blocks * block_size;
  constexpr u64 length = 17 * leaf_blocks * block_size;
  if (on.state().volumes.at("db").size < offset + length) return false;
  model::State after = on.state();
  after.volumes["db"].zero(offset, length, false);
  on.may_become(after);
  on.began();
  const auto handle = on.handle("db");
  on.ended(on.runtime().run(handle->discard(offset, length, false)), Workload::Promise::known);
  return true;
}

/// From the middle of a block to the middle of another: first its edges are written, then what is between is let go.
bool zero(Workload& on) {
  constexpr u64 offset = 1 * block_size + 100;
  constexpr u64 length = 2 * block_size;
  model::State after = on.state();
  after.volumes["db"].write(offset, std::string(block_size - 100, '\0'));
  on.may_become(after);
  after.volumes["db"].write(3 * block_size, std::string(100, '\0'));
  on.may_become(after);
  after.volumes["db"].zero(offset, length, false);
  on.may_become(after);
  on.began();
  const auto handle = on.handle("db");
  on.ended(on.runtime().run(handle->zero(offset, length, false)), Workload::Promise::known);
  return true;
}

Task<void> write_into(Handle& handle, u64 offset, const std::string& bytes, Status& status) {
  status = co_await handle.write(offset, std::as_bytes(std::span(bytes)), false);
}
Task<void> snapshot_into(EngineCore& engine, std::string name, Status& status) {
  std::vector<std::string> names{std::move(name)};
  status = co_await engine.snapshot_create(std::move(names), {});
}
Task<Status> closed(Gate& gate) {
  co_await gate.close();
  co_return Status{};
}

/// While a write is under way, another and a snapshot come; then all of them wait for each other.
bool burst(Workload& on) {
  const std::string first = on.fresh_bytes(block_size);
  const std::string second = on.fresh_bytes(block_size);
  const std::string name = "db@" + on.fresh_name('b');
  const model::State before = on.state();
  // Which of the two the volume has, and which of those the snapshot took with it (a block that both have is live once).
  enum : unsigned { neither = 0, early = 1, late = 2, both = early | late };
  const auto write = [&](model::State& state, unsigned which) {
    if ((which & early) != 0) state.volumes["db"].write(5 * block_size, first);
    if ((which & late) != 0) state.volumes["db"].write(6 * block_size, second);
  };
  std::vector<model::State> after;  // all three have ended: in any order, since none ended before another began
  for (unsigned written = neither; written <= both; ++written) {
    model::State without = before;
    write(without, written);
    if (written != neither) on.may_become(without);
    for (unsigned taken = neither; taken <= both; ++taken) {
      if ((taken & ~written) != 0) continue;
      model::State state = before;
      write(state, taken);
      state.snapshots[name] = state.volumes["db"];
      write(state, written & ~taken);
      on.may_become(state);
      if (written == both) after.push_back(state);
    }
  }
  on.began();
  const auto handle = on.handle("db");
  Gate gate(on.runtime());
  Status status[3];
  gate.spawn(write_into(*handle, 5 * block_size, first, status[0]));
  for (int i = 0; i < 3; ++i) on.runtime().step();
  gate.spawn(write_into(*handle, 6 * block_size, second, status[1]));
  gate.spawn(snapshot_into(on.engine(), name, status[2]));
  std::optional<Status> all = on.runtime().run(closed(gate));
  for (const Status& each : status) {
    if (all && *all && !each) all = each;
  }
  if (all && *all) on.find_out(after);
  on.ended(all, Workload::Promise::durable);
  return true;
}

Task<void> flush_into(Handle& handle, Status& status) { status = co_await handle.flush(); }
Task<void> sync_into(EngineCore& engine, Status& status) { status = co_await engine.sync(); }
Task<void> two_writes_into(Handle& handle, const std::string& first, const std::string& second, Status& status) {
  status = co_await handle.write(7 * block_size, std::as_bytes(std::span(first)), false);
  if (status) status = co_await handle.write(8 * block_size, std::as_bytes(std::span(second)), false);
}

/// A write, and then two more, one after the other, while `beside` runs, which makes the first durable.
template <class Beside>
bool writes_beside(Workload& on, Beside beside) {
  const std::string bytes[] = {on.fresh_bytes(block_size), on.fresh_bytes(block_size), on.fresh_bytes(block_size)};
  model::State after = on.state();
  for (u64 i = 0; i < 3; ++i) {
    after.volumes["db"].write((6 + i) * block_size, bytes[i]);
    on.may_become(after);
  }
  on.began();
  const auto handle = on.handle("db");
  Status status[2];
  std::optional<Status> all = on.runtime().run(handle->write(6 * block_size, std::as_bytes(std::span(bytes[0])), false));
  Gate gate(on.runtime());
  gate.spawn(beside(*handle, status[0]));
  gate.spawn(two_writes_into(*handle, bytes[1], bytes[2], status[1]));
  const std::optional<Status> ended = on.runtime().run(closed(gate));
  if (!ended || !*ended) all = ended;
  for (const Status& each : status) {
    if (all && *all && !each) all = each;
  }
  on.keeps_promise(on.before() + 1);
  on.ended(all, Workload::Promise::known);
  return true;
}

bool flush_and_writes(Workload& on) {
  return writes_beside(on, [](Handle& handle, Status& status) { return flush_into(handle, status); });
}
bool sync_and_writes(Workload& on) {
  return writes_beside(on, [&on](Handle&, Status& status) { return sync_into(on.engine(), status); });
}

// --- commands -------------------------------------------------------------------------------------------------------

bool snapshot(Workload& on) {
  const std::string name = "db@" + on.fresh_name('s');
  model::State after = on.state();
  after.snapshots[name] = after.volumes["db"];
  on.may_become(after);
  on.began();
  on.ended(on.runtime().run(on.engine().snapshot_create(one(name), {})), Workload::Promise::durable);
  return true;
}

/// Of two volumes, at one moment.
bool group_snapshot(Workload& on) {
  const std::string other = newest_clone(on.state());
  if (other.empty()) return false;
  const std::string name = on.fresh_name('g');
  model::State after = on.state();
  std::vector<std::string> names;
  for (const std::string& volume : {std::string("db"), other}) {
    names.push_back(volume + "@" + name);
    after.snapshots[names.back()] = after.volumes[volume];
  }
  on.may_become(after);
  on.began();
  on.ended(on.runtime().run(on.engine().snapshot_create(std::move(names), {})), Workload::Promise::durable);
  return true;
}

bool clone(Workload& on) {
  const std::string name = on.fresh_name('c');
  const auto snapshots = on.state().snapshots_of("db");
  const std::string from = snapshots.empty() ? "db" : snapshots.front();
  model::State after = on.state();
  after.volumes[name] = *after.find(from);
  on.may_become(after);
  on.began();
  on.ended(on.runtime().run(on.engine().clone(from, one(name), {})), Workload::Promise::durable);
  return true;
}

/// Of a volume that lives: it takes a hidden snapshot.
bool clone_live(Workload& on) {
  const std::string name = on.fresh_name('c');
  model::State after = on.state();
  after.volumes[name] = after.volumes["db"];
  on.may_become(after);
  on.began();
  on.ended(on.runtime().run(on.engine().clone("db", one(name), {})), Workload::Promise::durable);
  return true;
}

bool roll_back(Workload& on) {
  const auto snapshots = on.state().snapshots_of("db");
  if (snapshots.empty()) return false;
  const std::string to = snapshots.back();
  model::State after = on.state();
  const u64 number = ++after.saved_count["db"];
  after.snapshots["db@before-rollback-" + std::to_string(number)] = after.volumes["db"];
  after.volumes["db"] = after.snapshots[to];
  on.may_become(after);
  on.began();
  const auto saved = on.runtime().run(on.engine().rollback(one(to), false, false));
  on.ended(saved && *saved ? Status{} : Status(saved ? saved->error() : Error{Code::io, "it never returned"}),
           Workload::Promise::durable);
  return true;
}

/// What the volume held is given up.
bool roll_back_discarding(Workload& on) {
  const auto snapshots = on.state().snapshots_of("db");
  if (snapshots.empty()) return false;
  const std::string to = snapshots.back();
  model::State after = on.state();
  after.volumes["db"] = after.snapshots[to];
  on.may_become(after);
  on.began();
  const auto saved = on.runtime().run(on.engine().rollback(one(to), true, false));
  on.ended(saved && *saved ? Status{} : Status(saved ? saved->error() : Error{Code::io, "it never returned"}),
           Workload::Promise::durable);
  return true;
}

bool remove_names(Workload& on, const std::vector<std::string>& names) {
  model::State after = on.state();
  for (const std::string& name : names) after.remove(name);
  on.may_become(after);
  on.began();
  on.ended(on.runtime().run(on.engine().remove(names, false, false)), Workload::Promise::durable);
  return true;
}

bool delete_snapshot(Workload& on) {
  const auto snapshots = on.state().snapshots_of("db");
  if (snapshots.empty()) return false;
  // The one of the pool to start with first: it has two children.
  const bool there = on.state().snapshots.count("db@one") > 0;
  return remove_names(on, {there ? std::string("db@one") : snapshots.front()});
}

bool delete_clone(Workload& on) {
  const std::string clone = newest_clone(on.state());
  if (clone.empty()) return false;
  std::vector<std::string> names = on.state().snapshots_of(clone);
  names.push_back(clone);
  return remove_names(on, names);
}

/// Smaller, the next time larger again.
bool resize(Workload& on) {
  model::State after = on.state();
  const u64 size = after.volumes["db"].size == small_size ? 40 * MiB : small_size;
  after.volumes["db"].resize(size);
  on.may_become(after);
  on.began();
  on.ended(on.runtime().run(on.engine().volume_resize("db", size, true)), Workload::Promise::durable);
  return true;
}

// --- the pool -------------------------------------------------------------------------------------------------------

bool sync(Workload& on) {
  on.began();
  on.ended(on.runtime().run(on.engine().sync()), Workload::Promise::durable);
  return true;
}

bool idle(Workload& on) {
  on.began();
  on.runtime().run_for(quiet_ns);
  on.ended(Status{}, Workload::Promise::known);
  return true;
}

bool restart(Workload& on) {
  on.began();
  on.restart();
  return true;
}

bool kill(Workload& on) {
  on.began();
  on.kill();
  return true;
}

constexpr Operation every_operation[] = {
    {"write", "write a block where there was none", write_new},
    {"overwrite", "write over a block that a snapshot holds", overwrite},
    {"unaligned", "write parts of two blocks, the last of a leaf and the first of the next", write_unaligned},
    {"fua", "write a block, durable on return", write_fua},
    {"bulk", "write 62 blocks: two of them fill a segment of the log", write_bulk},
    {"clone-write", "write two blocks of the newest clone", write_clone},
    {"burst", "write, and while that is under way write and take a snapshot", burst},
    {"flush", "flush", flush},
    {"flush+writes", "write, then flush and write twice while it runs", flush_and_writes},
    {"discard", "discard three blocks", discard},
    {"trim", "discard seventeen leaves", trim},
    {"zero", "zero from the middle of a block to the middle of another", zero},
    {"snapshot", "take a snapshot", snapshot},
    {"group", "take a snapshot of two volumes at once", group_snapshot},
    {"clone", "clone the oldest snapshot", clone},
    {"clone-live", "clone the volume itself", clone_live},
    {"rollback", "roll back to the last snapshot by name, and keep what was", roll_back},
    {"revert", "roll back, and give up what was", roll_back_discarding},
    {"delete-snapshot", "delete the snapshot that has two children, then others", delete_snapshot},
    {"delete-clone", "delete the newest clone with its snapshots", delete_clone},
    {"resize", "make the volume smaller, or larger again", resize},
    {"sync", "checkpoint and finish all reclaim", sync},
    {"sync+writes", "write, then checkpoint and write twice while it runs", sync_and_writes},
    {"idle", "seven quiet seconds: checkpoint, compaction, holes", idle},
    {"restart", "close the pool in order and open it again", restart},
    {"kill", "the daemon dies, and another opens the pool", kill},
};

}  // namespace

std::span<const Operation> alphabet() { return every_operation; }

const Operation* find_operation(std::string_view name) {
  const auto at = std::find_if(std::begin(every_operation), std::end(every_operation),
                               [&](const Operation& operation) { return name == operation.name; });
  return at == std::end(every_operation) ? nullptr : at;
}

}  // namespace brindle::crash
