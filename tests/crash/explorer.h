// explorer.h: plays one workload and judges every disk that a crash during its last operation may leave.
//
// Crashes during the operations before the last are those of a shorter workload, whose history is the same byte for byte:
// so each is looked at once.
//
// Holds:  1. After a crash all volumes and snapshots together are at one moment of the history: not before the last operation
//            that promised to be durable, not after the last that began. Where all completed changes are on the disk (the
//            process died, the machine went on), not before the last that was acknowledged.
//         2. A crash while a crash is recovered from changes nothing: the next opening finds the same (of a sample).
#pragma once

#include <string>
#include <vector>

#include "crash/seen.h"
#include "crash/states.h"
#include "crash/workload.h"

namespace brindle::crash {

/// Shared by all processes.
struct Tally {
  std::atomic<u64> next{0};       // workload to be played next
  std::atomic<u64> workloads{0};  // that make sense
  std::atomic<u64> left_out{0};
  std::atomic<u64> states{0};
  std::atomic<u64> distinct{0};
  std::atomic<u64> thorough{0};
  std::atomic<u64> again{0};      // states in which recovery itself was crashed
  std::atomic<u64> bounded{0};    // points with too many volatile changes for every subset
  std::atomic<u64> failures{0};
};

struct Options {
  u64 thorough_one_in = 16;
  u64 again_one_in = 32;
  std::string only;      // this state alone, as failures name it: "17.5", or "17.5/3.1" of a second crash
  std::string repeat;    // what else the command that repeats a failure needs
};

class Explorer {
 public:
  Explorer(const Start& start, Seen& seen, Tally& tally, Options options);
  void explore(const std::vector<const Operation*>& operations);

  static constexpr u64 failures_max = 10;  // then it is enough

 private:
  struct Bounds {
    size_t durable, known, newest;
  };
  /// What is in the state at hand; Seen::failed after a failure was told.
  u64 content_of_state(const States& states, const CrashState& state, std::span<const Moment> moments);
  void crash_again(const Image& image, u64 content);
  void fail(const std::string& why, const States* states);
  std::string place(const CrashState& state) const;

  const Start& start_;
  Seen& seen_;
  Tally& tally_;
  Options options_;
  Shelf shelf_;        // of the workload
  Shelf again_shelf_;  // of second crashes
  std::string name_;   // of the workload
  std::string place_;  // of the state, "17.5"
};

/// What this process is at, for whoever has to tell why it died.
extern char under_way[512];

}  // namespace brindle::crash
