#include "model/world.h"

#include "base/aligned.h"

namespace brindle::model {

Result<CheckReport> verify_disk(SimDisk& disk, VerifyOptions options, VerifyProgress* progress) {
  SimRuntime runtime(1);
  SimDevice device(runtime, disk, 1);
  std::optional<Result<CheckReport>> out;
  const auto body = [](Runtime& on, Device& of, VerifyOptions how, VerifyProgress* shown,
                       std::optional<Result<CheckReport>>& to) -> Task<void> {
    auto report = co_await verify(on, of, how, shown);
    to.emplace(std::move(report));
  };
  runtime.run(body(runtime, device, options, progress, out));
  return std::move(*out);
}

World::World(WorldOptions options) : options_(options), disk_(options.pool_size), seeds_(options.seed), verify_dice_(options.seed) {}

World::~World() {
  if (engine_) close();
}

Status World::open() {
  runtime_ = std::make_unique<SimRuntime>(seeds_.next());
  device_ = std::make_unique<SimDevice>(*runtime_, disk_, seeds_.next(), SimFaults{.host_full = host_is_full_});
  engine_ = std::make_unique<EngineCore>(*runtime_, *device_,
                                         EngineOptions{.create = !made_, .memory_max = options_.memory_max});
  Status status = run(engine_->open());
  if (status) made_ = true;
  if (!status) crashed();
  return status;
}

void World::close() {
  const Status status = run(engine_->close());
  EXPECT_TRUE(status) << status.error().message;
  engine_.reset();
  device_.reset();
  runtime_.reset();
  left();
}

void World::crashed() {
  runtime_->drop();
  static_cast<void>(engine_.release());  // NOLINT: its coroutines still point into it
  static_cast<void>(device_.release());
  static_cast<void>(runtime_.release());
}

void World::kill() {
  device_->kill();
  crashed();
  left();
}

void World::lose_power() {
  device_->lose_power();
  crashed();
  left();
}

/// No engine has the disk open: the oracle looks at it.
void World::left() {
  if (!made_ || options_.verify_one_in == 0 || !verify_dice_.one_in(options_.verify_one_in)) return;
  const auto report = verify();
  ASSERT_TRUE(report) << report.error().message;
  for (const CheckDamage& damage : report->damage) {
    ADD_FAILURE() << "the verifier: " << damage.kind << " of '" << damage.volume << "' at " << damage.offset << " + "
                  << damage.length << ": " << damage.note;
  }
}

std::unique_ptr<Handle> World::handle(const std::string& name, bool read_only) {
  auto handle = engine_->open_handle(name, read_only);
  EXPECT_TRUE(handle.ok()) << name << ": " << (handle.ok() ? "" : handle.error().message);
  return handle ? std::move(handle).value() : nullptr;
}

void World::create(const std::string& name, u64 size) {
  const auto made = run(engine_->volume_create(name, size, {}));
  EXPECT_TRUE(made.ok()) << made.error().message;
}

void World::snapshot(const std::string& name) {
  std::vector<std::string> names{name};
  const Status status = run(engine_->snapshot_create(std::move(names), {}));
  EXPECT_TRUE(status.ok()) << status.error().message;
}

void World::clone(const std::string& from, const std::string& to) {
  std::vector<std::string> names{to};
  const Status status = run(engine_->clone(from, std::move(names), {}));
  EXPECT_TRUE(status.ok()) << status.error().message;
}

void World::remove(const std::string& name) {
  std::vector<std::string> names{name};
  const Status status = run(engine_->remove(std::move(names), false, false));
  EXPECT_TRUE(status.ok()) << status.error().message;
}

void World::write(const std::string& name, u64 offset, const std::string& bytes) {
  const auto to = handle(name);
  const Status status = run(to->write(offset, std::as_bytes(std::span(bytes)), false));
  EXPECT_TRUE(status.ok()) << status.error().message;
}

std::string World::read(const std::string& name, u64 offset, u64 length) {
  const auto from = handle(name, true);
  std::string bytes(length, '?');
  const Status status = run(from->read(offset, std::as_writable_bytes(std::span(bytes))));
  EXPECT_TRUE(status.ok()) << name << " at " << offset << ": " << (status.ok() ? "" : status.error().message);
  return bytes;
}

void World::sync() {
  const Status status = run(engine_->sync());
  EXPECT_TRUE(status.ok()) << status.error().message;
}

void make_sample(World& world) {
  u64 stamp = 1;
  const auto blocks = [&](const std::string& name, u64 first, u64 count) {
    world.write(name, first * block_size, pattern(++stamp, count * block_size));
  };
  world.create("db", 1 * GiB);
  world.create("small", 2 * MiB);
  world.create("passing", 64 * MiB);
  blocks("db", 0, 300);
  for (u64 i = 0; i < 60; ++i) {
    blocks("db", 3 * leaf_blocks + (i * 37) % leaf_blocks, 1);
    blocks("passing", i * 40, 3);
  }
  blocks("db", 300 * leaf_blocks + 7, 20);
  blocks("small", 10, 5);
  world.sync();
  world.snapshot("db@one");
  blocks("db", 4, 3);
  blocks("db", 600, 4);
  world.sync();
  world.snapshot("db@two");
  blocks("db", 20, 2);
  world.clone("db@one", "dev");
  world.clone("db@one", "twin");
  blocks("dev", 20, 2);
  blocks("twin", 20, 2);
  blocks("dev", 300 * leaf_blocks + 9, 2);
  world.snapshot("small@kept");
  blocks("small", 11, 1);
  world.sync();
  // The branch point lets go of what none of the three holds any more.
  world.remove("db@two");
  world.remove("db@one");
  world.sync();
  blocks("db", 40, 3);
  blocks("dev", 40, 3);
  blocks("twin", 40, 3);
  world.snapshot("dev@new");
  blocks("dev", 41, 1);
  // Chunks that are half dead are brought together in a quiet while.
  world.remove("passing");
  world.sync();
  world.runtime().run_for(20 * second_ns);
  world.close();
}

std::string pattern(u64 stamp, u64 length) {
  std::string bytes(length, '\0');
  Rng rng(stamp);
  for (u64 i = 0; i < length; i += 8) {
    const u64 word = rng.next() | 1;
    std::memcpy(bytes.data() + i, &word, std::min<u64>(8, length - i));
  }
  return bytes;
}

}  // namespace brindle::model
