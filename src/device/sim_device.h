// sim_device.h: a disk in memory with a volatile cache, faults and crashes, driven by a seed.
//
// Holds:  1. A completed write is seen by later reads; until a flush covers it, a power loss may lose it, keep it, or keep
//            some of its 512-byte sectors, whatever it does to the writes before and after it.
//         2. A process crash (kill -9) keeps every completed write, and any sectors of those under way. What no flush
//            covered is still in the host's cache then: a power loss after it may take it.
//         3. A flush that fails may let go of what it was to make durable, as Linux does: reads go on to see it, no later
//            flush brings it down, and the next process finds what was there before.
//         4. Faults that are counted down hit the very next calls, so that a history can say where they strike.
// Caller: the runtime's thread. The content outlives the runtime: hand the `Disk` to the next SimDevice.
#pragma once

#include <list>
#include <map>
#include <set>
#include <vector>

#include "base/rng.h"
#include "device/device.h"
#include "runtime/runtime.h"

namespace brindle {

inline constexpr u64 sim_sector_size = 512;

/// What is on the platter, and what is only in its cache.
struct SimDisk {
  /// A block that changed since the last flush.
  struct Cached {
    struct Version {
      u64 sequence;
      std::vector<std::byte> bytes;
    };
    std::vector<std::byte> durable;  // empty: zeroes
    std::vector<Version> versions;   // the last one is what reads see
    bool let_go = false;             // by a flush that failed
  };
  explicit SimDisk(u64 size_max_in) : size_max(size_max_in) {}
  u64 size_max;
  u64 size = 0;
  std::map<u64, std::vector<std::byte>> blocks;  // by block number: what reads see; absent: zeroes
  std::map<u64, Cached> cached;                  // what a power loss may take
  u64 sequence = 0;                              // of the last change
  std::vector<bool> given;                       // by block number: the host has a place for it
};

struct SimFaults {
  u64 read_error_one_in = 0;   // 0: never
  u64 write_error_one_in = 0;
  u64 flush_error_one_in = 0;
  u64 good_reads = 0;          // so many come first, before the next line counts
  u64 failing_reads = 0;       // so many of the next ones fail; likewise below
  u64 failing_writes = 0;
  u64 failing_flushes = 0;
  bool flushes_let_go = false; // those that fail do
  u64 lost_writes = 0;         // told to be done, and not done
  u64 misdirected_writes = 0;  // told to be done, and done somewhere else
  u64 slow_calls = 0;          // take `slow_ns` longer
  u64 slow_reads = 0;          // likewise, and of reads alone
  u64 slow_ns = 0;
  bool host_full = false;      // the host's file system gives no place where it has given none yet
  bool host_fails = false;     // it fails where it is asked for a place
  bool host_keeps = false;     // it takes no space back
  std::set<u64> bad_blocks;    // reads of these never work; a write mends them
  u64 latency_ns = 20'000;     // of a write or read, up to twice as much
};

class SimDevice final : public Device {
 public:
  SimDevice(Runtime& runtime, SimDisk& disk, u64 seed, SimFaults faults = {});

  u64 size() const override { return disk_.size; }
  u64 size_max() const override { return disk_.size_max; }
  Task<Status> read(u64 offset, std::span<const iovec> into) override;
  Task<Status> write(u64 offset, std::span<const iovec> from) override;
  Task<Status> flush() override;
  Task<Status> punch(u64 offset, u64 length) override;
  Task<Status> fill(u64 offset, u64 length) override;
  Task<Status> set_size_max(u64 bytes) override;
  std::string name() const override { return "sim"; }

  /// The process dies: writes under way reach the disk in part. Nothing may be called afterwards.
  void kill();
  /// The power goes: as kill, and what no flush covered may be lost, sector by sector.
  void lose_power();
  /// The process ends, in order or not (kill and lose_power do it): what failed flushes let go of is gone.
  void end();
  /// Did a flush let go of anything that is gone when the process ends?
  bool let_go() const;
  /// Is a write under way?
  bool writes_now() const { return !under_way_.empty(); }
  SimFaults& faults() { return faults_; }
  /// From here on another seed decides.
  void reseed(u64 seed) { rng_ = Rng(seed); }
  u64 reads() const { return reads_; }
  u64 writes() const { return writes_; }
  u64 flushes() const { return flushes_; }

 private:
  struct UnderWay {
    u64 offset;
    std::vector<std::byte> bytes;
  };
  void put(u64 block, const std::byte* bytes);
  void put_torn(u64 block, const std::byte* bytes);
  void let_some_go(u64 newest);
  void forget(u64 offset, u64 length);
  bool given(u64 offset, u64 length) const;
  void give(u64 offset, u64 length, bool given);
  Runtime::Sleep wait(bool reads = false);
  bool fails(u64 one_in, u64& next) {
    if (next > 0) return next-- > 0;
    return one_in != 0 && rng_.one_in(one_in);
  }

  Runtime& runtime_;
  SimDisk& disk_;
  Rng rng_;
  SimFaults faults_;
  std::list<UnderWay> under_way_;
  u64 reads_ = 0, writes_ = 0, flushes_ = 0;
};

}  // namespace brindle
