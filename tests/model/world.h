// world.h: an engine on a simulated disk, with plain calls that run the simulation until they end.
//
// Holds:  after a crash the old engine is left as it lay (its coroutines leak, as in a process that dies), and a new one
//         opens the same disk. Whenever no engine has it open, the verifier finds nothing wrong with it.
#pragma once

#include <gtest/gtest.h>

#include "check/verify.h"
#include "device/device_set.h"
#include "device/sim_device.h"
#include "format/members.h"
#include "runtime/sim_runtime.h"
#include "volume/core.h"

namespace brindle::model {

/// Of a volume, that one leaf of its map covers.
inline constexpr u64 leaf_bytes = leaf_blocks * block_size;

struct WorldOptions {
  u64 seed = 1;
  u64 pool_size = 64 * MiB;
  u64 memory_max = 16 * MiB;
  u32 reads_before_merge = EngineOptions{}.reads_before_merge;
  u64 verify_one_in = 1;  // of the times that an engine leaves the disk; 0: never
  u32 members = 1;        // disks that the pool lies on
  u64 unit = MiB;         // of several: what each has in turn
};

/// What a disk begins with, as the members of a pool are told by.
FoundMember find_member(SimDisk& disk, const std::string& name);

/// Verifies a disk on a runtime of its own.
Result<CheckReport> verify_disk(SimDisk& disk, VerifyOptions options = {}, VerifyProgress* progress = nullptr);

/// Runs a task to its end and gives its result.
template <class T>
T run_on(SimRuntime& runtime, Task<T> task) {
  std::optional<T> result;
  const auto body = [](Task<T> inner, std::optional<T>& out) -> Task<void> {
    T value = co_await std::move(inner);
    out.emplace(std::move(value));
  };
  runtime.run(body(std::move(task), result));
  return std::move(*result);
}

class World {
 public:
  explicit World(WorldOptions options);
  ~World();

  /// Opens (and makes, the first time) the pool. Fails as Engine::open.
  Status open();
  void close();
  void kill();
  void lose_power();
  /// The host gives no more space, to the next engines either.
  void fill_host();
  /// Something is wrong with the disk on purpose: the verifier is not asked any more.
  void plant_damage() { options_.verify_one_in = 0; }
  /// What the verifier says of the disk as it lies.
  Result<CheckReport> verify(VerifyOptions options = {});

  SimRuntime& runtime() { return *runtime_; }
  SimDevice& device(u32 member = 0) { return *devices_[member]; }
  SimDisk& disk(u32 member = 0) { return *disks_[member]; }
  EngineCore& engine() { return *engine_; }
  bool is_open() const { return engine_ != nullptr; }

  template <class T>
  T run(Task<T> task) {
    return run_on(*runtime_, std::move(task));
  }

  // --- the calls of tests; each expects success
  std::unique_ptr<Handle> handle(const std::string& name, bool read_only = false);
  void create(const std::string& name, u64 size);
  void snapshot(const std::string& name);
  void clone(const std::string& from, const std::string& to);
  void remove(const std::string& name);
  void write(const std::string& name, u64 offset, const std::string& bytes);
  std::string read(const std::string& name, u64 offset, u64 length);
  void sync();

 private:
  void crashed();
  void left();
  Result<Members> members();
  Status make_set();
  std::vector<Device*> all_devices();

  WorldOptions options_;
  std::vector<std::unique_ptr<SimDisk>> disks_;
  Rng seeds_;
  Rng verify_dice_;
  std::unique_ptr<SimRuntime> runtime_;
  std::vector<std::unique_ptr<SimDevice>> devices_;
  std::unique_ptr<DeviceSet> set_;  // of several members
  MemberLabel label_{.layout = Layout(MiB, 2)};
  std::unique_ptr<EngineCore> engine_;
  bool made_ = false;
  bool host_is_full_ = false;
};

/// Fills a world that was just opened with one of each: volumes of two heights, snapshots, clones, leaves, patches, a branch
/// point that let something go, compacted segments; and closes it.
void make_sample(World& world);
/// The disk that such a world leaves.
SimDisk sample_disk();

/// Bytes that tell which write they come from.
std::string pattern(u64 stamp, u64 length);

}  // namespace brindle::model
