#include "sim/player.h"

#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "base/uuid.h"
#include "sim/faults.h"

namespace brindle::sim {

namespace {

// A phase that takes more than this hangs, or as good as.
constexpr u64 steps_max = 3'000'000;
constexpr u64 never = ~u64{0};

Task<void> note_end(Task<void> task, std::shared_ptr<bool> done) {
  co_await std::move(task);
  *done = true;
}

}  // namespace

Player::Player(const History& history, bool verbose)
    : history_(history),
      verbose_(verbose),
      book_([this](std::string what) { fail(std::move(what)); }),
      disk_(history.pool_size),
      staging_memory_(history.staging) {
  staging_memory_.clear();
}

void Player::fail(std::string what) {
  if (failed()) return;
  played_.failure = doing_.empty() ? std::move(what) : fmt::format("{} ({})", what, doing_);
  say("FAILED: " + *played_.failure);
}

void Player::say(const std::string& line) const {
  if (verbose_) std::fprintf(stderr, "%10.3f ms  %s\n", runtime_ ? static_cast<double>(runtime_->now_ns()) / 1e6 : 0.0, line.c_str());
}

/// Steps until the task has ended; false: it was cut short, by a failure or where it was to be.
bool Player::run(Task<void> task, Cut cut) {
  const auto done = std::make_shared<bool>(false);
  start(note_end(std::move(task), done));
  const auto moved = [this] { return engine_->pool_counters().compacted_chunks; };
  const u64 moves = cut.moves == 0 ? 0 : moved() + cut.moves;
  bool moving = cut.moves > 0;
  u64 flushes = device_->flushes() + cut.flushes;
  u64 waited = 0;
  for (u64 i = 0; i < cut.steps && !*done && !failed();) {
    if (!runtime_->step()) {
      fail("everything waits, and nothing will ever wake it");
      return false;
    }
    if (++waited < steps_max && moving && moved() < moves) continue;
    if (std::exchange(moving, false)) flushes = device_->flushes() + cut.flushes;
    if (device_->flushes() >= flushes || waited >= steps_max) ++i;
  }
  return *done;
}

bool Player::run_all(Task<void> task) {
  const bool done = run(std::move(task), {.steps = steps_max});
  if (!done && !failed()) fail("it never ends");
  return done;
}

Played Player::play() {
  seed_uuids(history_.seed);  // the images hold them: two plays of a seed would differ
  begin_epoch(history_.seed);
  if (!open(nullptr)) return played_;
  if (const auto synced = wait(engine_->sync()); !synced || !*synced) {
    fail("a new pool cannot be synced");
    return played_;
  }
  used_when_new_ = engine_->status().used;
  Phase phase;
  for (const Op& op : history_.ops) {
    if (!ends_phase(op.kind)) {
      phase.ops.push_back(op);
      continue;
    }
    phase.end = op;
    played_.failed_at = op.index;
    play_phase(phase);
    if (failed() || refused_) return played_;
    phase = Phase();
  }
  doing_ = "in the end";
  finish();
  return played_;
}

// --- phases ---------------------------------------------------------------------------------------------------------

void Player::begin_epoch(u64 seed, bool read_only) {
  runtime_ = std::make_unique<SimRuntime>(seed);
  runtime_->busy(history_.busy);
  SimFaults faults;
  faults.bad_blocks = faults_.bad_blocks;
  faults.host_full = faults_.host_full;
  device_ = std::make_unique<SimDevice>(*runtime_, disk_, seed + 1, faults);
  Device* device = device_.get();
  if (history_.staging > 0 && !read_only && !std::exchange(mislaid_, false)) {
    staging_ = std::make_unique<Staging>(staging_memory_.span(), StagingOwner{.inode = 1});
    staged_ = std::make_unique<StagedDevice>(*runtime_, *device_, *staging_);
    device = staged_.get();
  }
  // Histories are too short for a leaf to be read through one patch as often as it would have to be, and for a checkpoint to have as many
  // names as it otherwise looks at in one go.
  const EngineOptions options{.create = !made_,
                              .read_only = read_only,
                              .memory_max = history_.memory_max,
                              .reads_before_merge = history_.seed % 2 == 0 ? 2u : 256u,
                              .names_at_once = history_.seed % 3 == 0 ? 4096u : 1 + history_.seed % 3 * 8};
  engine_ = std::make_unique<EngineCore>(*runtime_, *device, options);
  engine_->watch(&book_);
  book_.opening();
}

/// Opens the pool; false: the play ends, with a failure or because damage cost the whole pool.
bool Player::open(const Op* end) {
  const Cut uncut{.steps = steps_max};
  bool cuts = end != nullptr && end->cuts_recovery;
  Cut cut = cuts ? Cut{end->recovery_flushes, end->recovery_steps} : uncut;
  u64 seed = end != nullptr ? end->seed : history_.seed;
  for (;;) {
    const auto status = std::make_shared<std::optional<Status>>();
    const bool done = run(keep_result(engine_->open(), status), cut);
    if (failed()) return false;
    if (!done && !cuts) {
      fail("opening never ends");
      return false;
    }
    if (!done) {
      const bool power = seed % 2 == 0;
      say(fmt::format("the recovery is cut short by {}", power ? "a power loss" : "a kill"));
      unfair_ = unfair_ || (power && damaged_);  // it may take the marker that tells of what rotted
      crash(power);
      seed = seed * 31 + 7;
      cuts = seed % 4 == 0 && seed / 4 % 60 > 0;
      cut = cuts ? Cut{seed / 240 % 4, seed / 4 % 60} : uncut;
      begin_epoch(seed);
      continue;
    }
    made_ = true;
    if (!**status) {
      const std::string why = (*status)->error().message;
      if (!damaged_) {
        fail("the pool does not open: " + why);
      } else {
        say("damage: the pool does not open: " + why);
        refused_ = true;
      }
      trace(1000 + static_cast<u64>((*status)->code()));
      abandon();
      return false;
    }
    const bool writable = engine_->status().writable;
    if (!writable && !damaged_) {
      fail("the pool opened read-only: " + engine_->status().health);
      return false;
    }
    errors_ = passing_ = false;
    host_was_full_ = faults_.host_full;
    book_.opened(engine_->last_batch(), damaged_ && (lost_write_ || unfair_ || !writable), !writable);
    if (!writable) book_.give_up_behind(engine_->last_batch());
    unfair_ = false;
    say(fmt::format("open at batch {}{}", engine_->last_batch(), writable ? "" : ", read-only: " + engine_->status().health));
    trace(engine_->last_batch());
    return !failed();
  }
}

/// Somebody looks at the pool first, and must change nothing.
void Player::look_read_only(u64 seed) {
  begin_epoch(seed, true);
  const auto status = wait(engine_->open());
  if (!status) return;
  doing_ = "opened read-only";
  if (*status) {
    book_.opened(engine_->last_batch(), damaged_, true);
    look_at_all();
    if (!failed()) static_cast<void>(wait(engine_->close()));
  } else if (!damaged_) {
    fail("the pool does not open read-only: " + status->error().message);
  }
  doing_.clear();
  if (failed()) return;
  if (device_->writes() + device_->flushes() > 0) fail("a pool that was opened read-only is written to");
  abandon();
}

void Player::abandon() {
  for (auto& [lane, held] : held_) static_cast<void>(new std::shared_ptr<Handle>(held.handle));  // NOLINT: the dead keep them
  held_.clear();
  runtime_->drop();
  static_cast<void>(engine_.release());  // NOLINT: its coroutines still point into it
  static_cast<void>(staged_.release());
  static_cast<void>(staging_.release());
  static_cast<void>(device_.release());
  static_cast<void>(runtime_.release());
}

void Player::crash(bool power) {
  ++played_.crashes;
  faults_ = device_->faults();
  trace(runtime_->now_ns() + device_->writes() * 3 + device_->reads() * 5 + device_->flushes() * 7);
  if (power) {
    device_->lose_power();
    staging_memory_.clear();
    book_.lost_power();
  } else {
    const bool let_go = device_->let_go();
    device_->kill();
    if (let_go) {
      book_.lost_power();
    } else {
      book_.killed();
    }
  }
  abandon();
  verify_image();
}

void Player::close() {
  held_.clear();
  const bool latched = !engine_->status().writable;
  const u64 acked = book_.acknowledged();
  const auto status = wait(engine_->close());
  if (!status) return;
  if (!*status && !latched && !errors_ && !damaged_) fail("closing fails: " + status->error().message);
  if (*status && !latched) book_.flushed(acked);
  if (staged_) {
    if (!run_all(staged_->close())) return;
    if (*status && !latched && !staged_->settled()) fail("the pool is closed, and writes are staged that the device does not have");
    if (failed()) return;
  }
  faults_ = device_->faults();
  trace(runtime_->now_ns() + device_->writes() * 3 + device_->reads() * 5 + device_->flushes() * 7);
  const bool let_go = device_->let_go();
  device_->end();
  engine_.reset();
  staged_.reset();
  staging_.reset();
  device_.reset();
  runtime_.reset();
  if (let_go) {
    book_.lost_power();
  } else {
    book_.killed();
  }
  verify_image();
}

void Player::play_phase(const Phase& phase) {
  const Op& end = phase.end;
  runtime_->rng() = Rng(end.seed);
  device_->reseed(end.seed + 1);
  std::map<u64, std::vector<Op>> lanes;
  for (const Op& op : phase.ops) lanes[op.lane].push_back(op);
  Gate* const gate = new Gate(*runtime_);  // NOLINT: a crash leaves it to the dead
  for (auto& [lane, ops] : lanes) gate->spawn(run_lane(std::move(ops)));
  const bool crashes = end.kind == OpKind::kill || end.kind == OpKind::power_loss;
  if (crashes && end.steps != never) {
    static_cast<void>(run(gate->close(), {end.flushes, end.steps, end.moves}));
  } else if (run_all(gate->close())) {
    delete gate;
  }
  doing_.clear();
  if (failed()) return;
  if (!engine_->status().writable && !errors_ && !damaged_) fail("the pool latched by itself: " + engine_->status().health);
  if (failed()) return;
  say(text(end));
  device_->faults().failing_reads = 0;
  if (end.flips > 0 && crashes) {
    // Rot comes when all markers of flushes are written: see the policy.
    if (!run_all(pause(quiet_before_rot_ns))) return;
  }
  const bool latched = !engine_->status().writable;
  const bool unmarked = latched || device_->writes_now();  // a marker may not be written yet
  if (crashes) {
    crash(end.kind == OpKind::power_loss);
  } else if (end.kind == OpKind::reopen || latched) {
    close();
  }
  if (failed()) return;
  if (!engine_) {
    if (end.flips > 0) {
      // Nothing tells a batch that rotted behind the last marker from one that was never finished.
      unfair_ = end.kind == OpKind::power_loss || end.flips > 1 || unmarked;
      book_.spoiled();
    }
    rot_ = Rng(end.seed + 2);
    for (u64 i = 0; i < end.flips; ++i) {
      rot(disk_, rot_);
      damaged_ = true;
    }
    // Who looks only does not write what is staged, so it is not there for him.
    if (end.flag && history_.staging == 0) look_read_only(end.seed + 4);
    if (failed()) return;
    if (history_.staging > 0 && end.seed % 4 == 3) {
      say("the staging memory is not found");
      mislaid_ = true;
      book_.lost_power();
    }
    begin_epoch(end.seed + 3);
    if (!open(&end)) return;
  }
  doing_ = fmt::format("after {}", op_name(end.kind));
  if (end.look) look_at_all();
  if (end.count && !damaged_ && !failed()) count_space();
  trace(book_.changes());
  doing_.clear();
}

Task<void> Player::pause(u64 ns) { co_await runtime_->sleep(ns); }

/// Everything goes, in random order, and all space comes back.
void Player::finish() {
  faults_.host_full = false;
  if (!engine_->status().writable && !damaged_) {
    close();
    if (failed()) return;
    begin_epoch(history_.seed + 5);
    if (!open(nullptr)) return;
  }
  device_->faults() = SimFaults{.bad_blocks = faults_.bad_blocks};
  host_was_full_ = false;
  look_at_all();
  if (failed()) return;
  if (damaged_) {
    close();
    return;
  }
  count_space();
  Rng rng(history_.seed + 11);
  while (!failed()) {
    std::vector<std::string> names;
    for (const auto& [id, object] : book_.now().objects()) {
      if (!object->deleted) names.push_back(book_.now().name_of(*object));
    }
    if (names.empty()) break;
    Op op{.kind = OpKind::remove, .names = {names[rng.below(names.size())]}};
    const Object& object = *book_.now().named(op.names.front());
    if (object.is_protected) {
      op.kind = OpKind::protect;
      op.name = op.names.front();
      op.names.clear();
    }
    if (!run_all(run_op(op))) return;
    if (!rng.one_in(12)) continue;
    if (rng.one_in(2) && !run_all(pause(rng.below(3 * millisecond_ns)))) return;
    crash(rng.one_in(2));
    if (failed()) return;
    begin_epoch(rng.next());
    if (!open(nullptr)) return;
  }
  if (failed()) return;
  count_space();
  if (failed()) return;
  if (engine_->status().used != used_when_new_) {
    fail(fmt::format("all is deleted, and {} bytes are used; {} were when it was new ({} blocks live)", engine_->status().used,
                     used_when_new_, engine_->live_blocks()));
    return;
  }
  close();
}

}  // namespace brindle::sim
