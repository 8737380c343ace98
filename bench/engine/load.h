// load.h: requests to volumes, so many at a time, inside the engine's own process.
//
// Holds:  a lane is a coroutine with one request under way and a buffer of its own; `depth` lanes share the volumes.
// Caller: on a reactor; where it is not the engine's home core, requests go through an outpost, as a connection's do.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "measure.h"
#include "pattern.h"
#include "engine/rig.h"
#include "volume/outpost.h"

namespace brindle::bench {

struct LoadOptions {
  u64 depth = 32;
  u64 block = block_size;
  u64 ms = 1000;
  u64 warm_ms = 300;
  u64 count = 0;          // requests, and then it ends; 0: by time
  u64 flush_every = 0;    // by each lane, after so many writes
  u64 seed = 1;
  bool read = false;
  bool fua = false;
  bool once = false;      // each unit of each volume once
  bool untimed = false;   // no latencies: the list of a billion of them takes gigabytes
  Pattern pattern = Pattern::random;
  const std::vector<u64>* list = nullptr;  // units to go to, in this order, instead of a pattern
};

class Load {
 public:
  Load(Rig& rig, Reactor& core, std::vector<Handle*> volumes, LoadOptions options);
  /// On `core`. The measure is complete when it returns.
  Task<Status> run();
  Measure& measure() { return measure_; }
  /// Ends it early.
  void stop() { stopped_ = true; }

 private:
  Task<void> lane(u64 index);
  Task<Status> request(Handle& volume, u64 offset, MutBytes buffer);
  bool next(u64 volume, u64& unit);

  Rig& rig_;
  Reactor& core_;
  std::unique_ptr<Outpost> outpost_;  // none at home
  std::vector<Handle*> volumes_;
  LoadOptions options_;
  std::vector<Places> places_;
  std::vector<u64> units_left_;
  Measure measure_;
  Status status_;
  u64 begun_ = 0;
  bool measuring_ = false;
  bool stopped_ = false;
  u64 warm_until_ns_ = 0;
  u64 until_ns_ = 0;
};

}  // namespace brindle::bench
