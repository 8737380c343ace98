#include "crash/workload.h"

#include <cstring>

#include <fmt/format.h>

#include "base/rng.h"
#include "base/uuid.h"

namespace brindle::crash {

namespace {

constexpr u64 pool_size = 20 * MiB;  // chunks of 512 KiB, and so many free ones that nothing presses

}  // namespace

Workload::Workload(const Start& start, Shelf& shelf)
    : shelf_(shelf), image_(start.image), runtime_(std::make_unique<FairRuntime>(start.now_ns)), state_(start.state) {
  seed_uuids(1);
  may_become(state_);
  began();
  device_ = std::make_unique<Recorder>(*runtime_, image_, shelf_, &history_);
  open();
}

/// An engine that was not finished stays as it lies: its coroutines still wait for it.
Workload::~Workload() {
  if (!engine_) return;
  static_cast<void>(engine_.release());
  static_cast<void>(device_.release());
  static_cast<void>(runtime_.release());
}

bool Workload::play(const Operation& operation) {
  const bool sensible = operation.play(*this);
  return sensible && failure_.empty();
}

void Workload::may_become(const model::State& state) {
  moments_.push_back({content_of(state), state.live_blocks()});
  state_ = state;
}

void Workload::began() {
  last_began_ = history_.events.size();
  before_ = known_;
  history_.events.push_back({EventKind::begun, 0, durable_, known_, moments_.size() - 1});
}

void Workload::ended(const Status& status, Promise promise) {
  if (!status) fail(status.error().message);
  known_ = moments_.size() - 1;
  if (promise == Promise::durable) durable_ = known_;
  history_.events.push_back({EventKind::ended, 0, durable_, known_, known_});
}

void Workload::fail(std::string why) {
  if (failure_.empty()) failure_ = std::move(why);
}

std::unique_ptr<Handle> Workload::handle(const std::string& name) {
  auto handle = engine_->open_handle(name, false);
  CHECK_NOTE(handle.ok(), name);
  return std::move(handle).value();
}

std::string Workload::fresh_bytes(u64 length) {
  std::string bytes(length, '\0');
  Rng rng(++stamp_);
  for (u64 at = 0; at < length; at += sizeof(u64)) {
    const u64 word = rng.next() | 1;
    std::memcpy(bytes.data() + at, &word, std::min<u64>(sizeof word, length - at));
  }
  return bytes;
}

void Workload::find_out(const std::vector<model::State>& candidates) {
  const auto content = content_of(*runtime_, *engine_);
  if (!content) return fail(content.error().message);
  for (const model::State& candidate : candidates) {
    if (content_of(candidate) != *content) continue;
    may_become(candidate);
    return;
  }
  fail("what ran at once has a result that no order gives");
}

// --- the engine's life ----------------------------------------------------------------------------------------------

void Workload::open() {
  engine_ = std::make_unique<EngineCore>(*runtime_, *device_, EngineOptions{.memory_max = memory_max});
  // What was there after a crash is on the disk before anybody can look at it.
  ended(runtime_->run(engine_->open()), Promise::durable);
}

void Workload::restart() {
  const auto closed = runtime_->run(engine_->close());
  if (!closed || !*closed) return fail(closed ? closed->error().message : "close never returned");
  engine_.reset();
  auto next = std::make_unique<Recorder>(*runtime_, image_, shelf_, &history_);
  next->inherit(*device_);
  device_ = std::move(next);
  open();
}

void Workload::kill() {
  auto next_runtime = std::make_unique<FairRuntime>(runtime_->now_ns());
  auto next = std::make_unique<Recorder>(*next_runtime, image_, shelf_, &history_);
  next->inherit(*device_);
  // Nobody will know what the dead engine still does; it is ended in order only to have its memory back.
  Image grave = image_;
  device_->die(grave);
  static_cast<void>(runtime_->run(engine_->close()));
  engine_.reset();
  device_ = std::move(next);
  runtime_ = std::move(next_runtime);
  open();
}

void Workload::finish() {
  const auto content = content_of(*runtime_, *engine_);
  if (!content) {
    fail(content.error().message);
  } else if (*content != moments_.back().content) {
    fail("without any crash, the engine does not hold what the model says");
  }
  Image grave = image_;
  device_->die(grave);
  const auto closed = runtime_->run(engine_->close());
  if (!closed || !*closed) fail(closed ? closed->error().message : "close never returned");
  engine_.reset();
}

// --- the pool to start with -----------------------------------------------------------------------------------------

namespace {

/// Makes the pool, step by step, on engine and model alike.
class Maker {
 public:
  Maker(FairRuntime& runtime, EngineCore& engine, model::State& state) : runtime_(runtime), engine_(engine), state_(state) {}

  void create(const std::string& name, u64 size) {
    CHECK(runtime_.run(engine_.volume_create(name, size, {})).value());
    state_.volumes[name].size = size;
  }
  void write(const std::string& name, u64 block, u64 count) {
    std::string bytes(count * block_size, '\0');
    Rng rng(++stamp_);
    for (u64 at = 0; at < bytes.size(); at += sizeof(u64)) {
      const u64 word = rng.next();
      std::memcpy(bytes.data() + at, &word, sizeof word);
    }
    const auto handle = engine_.open_handle(name, false);
    CHECK(handle && runtime_.run((*handle)->write(block * block_size, std::as_bytes(std::span(bytes)), false)).value());
    state_.volumes[name].write(block * block_size, bytes);
  }
  void snapshot(const std::string& name) {
    std::vector<std::string> names{name};
    CHECK(runtime_.run(engine_.snapshot_create(std::move(names), {})).value());
    state_.snapshots[name] = state_.volumes[name.substr(0, name.find('@'))];
  }
  void clone(const std::string& from, const std::string& to) {
    std::vector<std::string> names{to};
    CHECK(runtime_.run(engine_.clone(from, std::move(names), {})).value());
    state_.volumes[to] = *state_.find(from);
  }
  void remove(const std::string& name) {
    std::vector<std::string> names{name};
    CHECK(runtime_.run(engine_.remove(std::move(names), false, false)).value());
    state_.remove(name);
  }
  void sync() { CHECK(runtime_.run(engine_.sync()).value()); }

 private:
  FairRuntime& runtime_;
  EngineCore& engine_;
  model::State& state_;
  u64 stamp_ = 0;
};

}  // namespace

Start::Start() : image(pool_size) {
  seed_uuids(0);
  FairRuntime runtime;
  History history;  // only so that its blocks have hashes
  Recorder device(runtime, image, shelf, &history);
  EngineCore engine(runtime, device, {.create = true, .memory_max = memory_max});
  CHECK(runtime.run(engine.open()).value());
  Maker make(runtime, engine, state);
  make.create("db", 40 * MiB);
  make.create("ballast", 8 * MiB);
  make.write("ballast", 0, 60);
  make.write("db", 0, 5);
  make.write("db", leaf_blocks - 2, 4);
  make.write("ballast", 100, 60);
  make.write("db", 3 * leaf_blocks + 4, 2);
  make.snapshot("db@one");
  make.write("db", 1, 1);
  make.write("db", leaf_blocks, 1);
  make.write("ballast", 200, 54);
  make.write("ballast", 300, 50);  // now the log stands before the middle of a chunk, so the next opening goes on there
  make.clone("db@one", "dev");
  make.write("dev", 2, 1);
  make.sync();
  make.remove("ballast");
  make.sync();
  CHECK(runtime.run(engine.close()).value());
  now_ns = runtime.now_ns();
  used_when_empty = crash::used_when_empty(image).value();
}

}  // namespace brindle::crash
