// real_pool.h: an engine on a real reactor and a real file, or in memory that forgets payload, with plain calls that run the reactor until
// they end.
//
// Holds:  the file and its folder are gone when the object is.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "device/device.h"
#include "runtime/reactor.h"
#include "runtime/remote.h"
#include "volume/core.h"

namespace brindle {

struct RealPoolOptions {
  u64 pool_size = 8 * GiB;
  u64 memory_max = 256 * MiB;
  bool hollow = false;  // in memory, and what `payload()` gives is forgotten: it can be closed once, in order
};

class RealPool {
 public:
  explicit RealPool(RealPoolOptions options = {});
  ~RealPool();

  void open();
  void close();
  EngineCore& engine() { return *engine_; }
  Reactor& reactor() { return *reactor_; }
  const std::string& path() const { return path_; }

  /// Runs `make()` (which returns a Task) on the reactor, and waits for its result.
  template <class Make>
  auto run(Make make) {
    return call_blocking(*reactor_, make);
  }
  /// Bytes of the process that are resident.
  static u64 resident_bytes();
  /// Bytes that the host has allocated for the pool's file.
  u64 allocated_bytes() const;

 private:
  std::unique_ptr<Device> make_device();

  RealPoolOptions options_;
  std::string folder_, path_;
  std::unique_ptr<Reactor> reactor_;
  std::thread thread_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<EngineCore> engine_;
  bool made_ = false;
};

/// Seconds that `work` takes.
template <class F>
double seconds(F work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace brindle
