// live.h: an engine on a pool in memory, on a thread of its own, for fuzzers of what listens.
//
// Holds:  it begins with a volume `db` of 1 MiB, with data, and its snapshot `db@s`. Inputs may change what it holds, so what
//         an input finds may depend on those before it: a finding is tried again with the log of its run.
#pragma once

#include <thread>

#include "device/memory_device.h"
#include "fuzz/input.h"
#include "runtime/reactor.h"
#include "runtime/remote.h"
#include "volume/engine.h"

namespace brindle {

class LiveEngine {
 public:
  LiveEngine() : device_(256 * MiB) {
    auto reactor = Reactor::create({});
    must(reactor.ok());
    reactor_ = std::move(*reactor);
    std::thread([core = reactor_.get()] { core->run(); }).detach();  // it ends with the process
    const EngineOptions options{.create = true, .memory_max = 16 * MiB};
    auto engine = call_blocking(*reactor_, [this, options] { return Engine::open(*reactor_, device_, options); });
    must(engine.ok());
    engine_ = std::move(*engine);
    must(call_blocking(*reactor_, [this] { return fill(*engine_); }).ok());
  }
  Reactor& home() { return *reactor_; }
  Engine& engine() { return *engine_; }

 private:
  static Task<Status> fill(Engine& engine) {
    auto made = co_await engine.volume_create("db", 1 * MiB, Labels{});
    if (!made) co_return made.error();
    std::vector<std::string> names(1, "db@s");
    co_return co_await engine.snapshot_create(std::move(names), Labels{});
  }

  MemoryDevice device_;
  std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace brindle
