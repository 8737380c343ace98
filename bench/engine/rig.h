// rig.h: an engine of its own, on a file or on a device in memory, and calls into it from the program's main thread.
//
// Holds:  1. The memory device has all its memory before anything is measured: the first touch of memory is slow, and is the
//            machine's cost, not the engine's.
//         2. The home core is reactor 0; a second one stands for the core of a connection.
// Caller: the main thread. Every failure ends the program with a message.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/counting_device.h"
#include "engine/hollow_device.h"
#include "runtime/reactor.h"
#include "runtime/remote.h"
#include "volume/core.h"

namespace brindle::bench {

[[noreturn]] void fail(const std::string& message);
void expect(const Status& status, std::string_view what);
template <class T>
T expect(Result<T> result, std::string_view what) {
  if (!result) fail(std::string(what) + ": " + result.error().message);
  return std::move(result).value();
}

struct RigOptions {
  std::string path;  // of the pool's file; empty: in memory
  bool create = true;
  u64 pool_size = 2 * GiB;
  u64 memory_max = 256 * MiB;
  int core = -1;     // of the home reactor; the second runs on the next one
  bool second = false;
  bool hollow = false;       // payload is forgotten (hollow_device.h)
  std::string payload_path;  // of a file that is made, and read instead of what was forgotten
  u64 payload_size = GiB;
};

class Rig {
 public:
  explicit Rig(RigOptions options);
  ~Rig();

  EngineCore& engine() { return *engine_; }
  Reactor& home() { return *reactors_.front(); }
  Reactor& second() { return *reactors_.back(); }
  const CountingDevice::Counters& device() const { return device_->counters(); }
  /// Runs `make()`, which returns a Task, on the home core, and waits for its result.
  template <class Make>
  auto run(Make make) {
    return call_blocking(home(), make);
  }
  std::unique_ptr<Handle> open(const std::string& name, bool read_only = false);
  /// Handles live and die on the home core.
  void close(std::vector<std::unique_ptr<Handle>> handles);
  /// Closes the engine in order and opens it again on the same device; memory then holds what reads bring.
  void reopen();
  void close_engine();
  bool hollow() const { return hollow_ != nullptr; }
  /// Of a hollow device: bytes that are kept.
  u64 kept_bytes() const { return hollow_ != nullptr ? hollow_->kept_bytes() : 0; }
  /// To be called before the engine is closed.
  void before_close(std::function<void()> what) { before_close_ = std::move(what); }

 private:
  void open_engine(bool create);
  std::unique_ptr<Device> make_payload_file();

  RigOptions options_;
  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::vector<std::thread> threads_;
  std::unique_ptr<CountingDevice> device_;
  HollowDevice* hollow_ = nullptr;
  std::function<void()> before_close_;
  std::unique_ptr<EngineCore> engine_;
};

/// Bytes of the process that are resident.
u64 resident_bytes();

}  // namespace brindle::bench
