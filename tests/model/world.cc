#include "model/world.h"

#include "base/aligned.h"

namespace brindle::model {

World::World(WorldOptions options) : options_(options), disk_(options.pool_size), seeds_(options.seed), verify_dice_(options.seed) {}

World::~World() {
  if (engine_) close();
}

Status World::open() {
  runtime_ = std::make_unique<SimRuntime>(seeds_.next());
  device_ = std::make_unique<SimDevice>(*runtime_, disk_, seeds_.next());
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

Result<CheckReport> World::verify(VerifyOptions options) {
  SimRuntime runtime(1);
  SimDevice device(runtime, disk_, 1);
  std::optional<Result<CheckReport>> out;
  const auto body = [](Runtime& on, Device& of, VerifyOptions how, std::optional<Result<CheckReport>>& to) -> Task<void> {
    auto report = co_await brindle::verify(on, of, how, nullptr);
    to.emplace(std::move(report));
  };
  runtime.run(body(runtime, device, options, out));
  return std::move(*out);
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
