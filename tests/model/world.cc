#include "model/world.h"

#include "base/aligned.h"
#include "format/superblock.h"
#include "pool/labels.h"

namespace brindle::model {

FoundMember find_member(SimDisk& disk, const std::string& name) {
  std::vector<std::byte> front(superblock_b_offset + block_size);
  for (u64 at : {u64{0}, superblock_b_offset}) {
    const auto block = disk.blocks.find(at / block_size);
    if (block != disk.blocks.end() && !block->second.empty())
      std::ranges::copy(block->second, front.begin() + static_cast<i64>(at));
  }
  return {name, disk.size, true, parse_labels(front)};
}

namespace {

Result<CheckReport> verify_device(SimRuntime& runtime, Device& device, VerifyOptions options,
                                  VerifyProgress* progress) {
  std::optional<Result<CheckReport>> out;
  const auto body = [](Runtime& on, Device& of, VerifyOptions how, VerifyProgress* shown,
                       std::optional<Result<CheckReport>>& to) -> Task<void> {
    auto report = co_await verify(on, of, how, shown);
    to.emplace(std::move(report));
  };
  runtime.run(body(runtime, device, options, progress, out));
  return std::move(*out);
}

}  // namespace

Result<CheckReport> verify_disk(SimDisk& disk, VerifyOptions options, VerifyProgress* progress) {
  SimRuntime runtime(1);
  SimDevice device(runtime, disk, 1);
  return verify_device(runtime, device, options, progress);
}

World::World(WorldOptions options) : options_(options), seeds_(options.seed), verify_dice_(options.seed) {
  for (u32 i = 0; i < options.members; ++i) {
    disks_.push_back(
        std::make_unique<SimDisk>(options.pool_size / options.members + (options.members > 1 ? label_area_bytes : 0)));
  }
}

World::~World() {
  if (engine_) close();
}

Status World::open() {
  runtime_ = std::make_unique<SimRuntime>(seeds_.next());
  devices_.clear();
  for (const auto& disk : disks_) {
    devices_.push_back(
        std::make_unique<SimDevice>(*runtime_, *disk, seeds_.next(), SimFaults{.host_full = host_is_full_}));
  }
  EngineOptions engine_options{
      .create = !made_, .memory_max = options_.memory_max, .reads_before_merge = options_.reads_before_merge};
  if (disks_.size() > 1) {
    if (auto status = make_set(); !status) {
      crashed();
      return status;
    }
    engine_options.uuid = label_.pool;
  }
  Device& device = set_ ? static_cast<Device&>(*set_) : *devices_.front();
  engine_ = std::make_unique<EngineCore>(*runtime_, device, engine_options);
  Status status = run(engine_->open());
  // The labels come last: who dies before has made nothing.
  if (status && !made_ && set_) status = run(write_labels(all_devices(), label_));
  if (status) made_ = true;
  if (!status) crashed();
  return status;
}

/// The members as one device: new ones, or as their labels say.
Status World::make_set() {
  if (made_) {
    auto joined = members();
    if (!joined) return joined.error();
    label_ = joined->label;
    if (joined->stale) {
      if (auto status = run(write_labels(all_devices(), label_)); !status) return status;
    }
  } else {
    label_ = {fresh_uuid(), 1, 0, Layout(options_.unit, options_.members), std::vector<std::string>(options_.members)};
    std::vector<u64> rows;
    for (const auto& disk : disks_) rows.push_back((disk->size_max - label_area_bytes) / options_.unit);
    if (auto status = label_.layout.extend(std::move(rows)); !status) return status;
    if (auto status = run(clear_label_areas(all_devices())); !status) return status;
  }
  std::vector<DeviceSet::Member> all;
  for (Device* device : all_devices()) all.push_back({device, true});
  const auto keep = [this](const Layout& layout) -> Task<Status> {
    label_.layout = layout;
    ++label_.generation;
    return write_labels(all_devices(), label_);
  };
  set_ = std::make_unique<DeviceSet>(*runtime_, label_.layout, std::move(all), keep);
  return {};
}

std::vector<Device*> World::all_devices() {
  std::vector<Device*> all;
  for (const auto& device : devices_) all.push_back(device.get());
  return all;
}

/// What the labels on the disks say, which are looked at in another order than they were made in.
Result<Members> World::members() {
  std::vector<FoundMember> found;
  for (size_t i = disks_.size(); i-- > 0;) found.push_back(find_member(*disks_[i], "disk " + std::to_string(i)));
  auto joined = join_members(found);
  if (joined) {
    for (size_t i = 0; i < disks_.size(); ++i) EXPECT_EQ(joined->order[i], disks_.size() - 1 - i);
  }
  return joined;
}

Result<CheckReport> World::verify(VerifyOptions options) {
  if (disks_.size() == 1) return verify_disk(*disks_.front(), options);
  auto joined = members();
  if (!joined) return joined.error();
  SimRuntime runtime(1);
  std::vector<std::unique_ptr<SimDevice>> devices;
  std::vector<DeviceSet::Member> all;
  for (const auto& disk : disks_) {
    devices.push_back(std::make_unique<SimDevice>(runtime, *disk, 1));
    all.push_back({devices.back().get(), true});
  }
  DeviceSet set(runtime, joined->label.layout, std::move(all), {});
  return verify_device(runtime, set, options, nullptr);
}

void World::fill_host() {
  host_is_full_ = true;
  for (const auto& device : devices_) device->faults().host_full = true;
}

void World::close() {
  const Status status = run(engine_->close());
  EXPECT_TRUE(status) << status.error().message;
  engine_.reset();
  set_.reset();
  devices_.clear();
  runtime_.reset();
  left();
}

void World::crashed() {
  runtime_->drop();
  static_cast<void>(engine_.release());  // NOLINT: its coroutines still point into it
  static_cast<void>(set_.release());
  for (auto& device : devices_) static_cast<void>(device.release());
  static_cast<void>(runtime_.release());
}

void World::kill() {
  for (const auto& device : devices_) device->kill();
  crashed();
  left();
}

void World::lose_power() {
  for (const auto& device : devices_) device->lose_power();
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

SimDisk sample_disk() {
  World world({.verify_one_in = 0});
  EXPECT_TRUE(world.open());
  make_sample(world);
  return world.disk();
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
