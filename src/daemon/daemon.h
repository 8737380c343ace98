// daemon.h: brindled's parts in the order in which they start and stop.
//
// Holds:  1. The state folder and the pool are locked before any socket is touched.
//         2. Stopping: no new requests, answers to those under way, a checkpoint, and only then the locks.
// Caller: the main thread.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "control/api.h"
#include "control/server.h"
#include "daemon/options.h"
#include "daemon/pool_files.h"
#include "daemon/state_folder.h"
#include "device/staged_device.h"
#include "device/staging_file.h"
#include "runtime/reactor.h"
#include "serve/nbd/server.h"
#include "volume/engine.h"

namespace brindle::daemon {

class Daemon {
 public:
  static Result<std::unique_ptr<Daemon>> start(const Options& options);
  ~Daemon();
  /// "ready: …", for people and scripts.
  std::string ready_line() const;
  /// Ends everything in order. Fails: as the last checkpoint.
  Status stop();

 private:
  /// A reactor and the thread that it runs on.
  struct Core {
    std::unique_ptr<Reactor> reactor;
    std::thread thread;
  };

  Daemon() = default;
  Status start_cores(const Options& options);
  Status open_engine(const Options& options);
  Result<bool> open_staging(const Options& options);
  Device& device() { return staged_ ? static_cast<Device&>(*staged_) : pool_->device(); }
  Status listen(const Options& options);
  Reactor& home() { return *cores_.front().reactor; }

  std::unique_ptr<StateFolder> state_;
  std::vector<Core> cores_;
  std::unique_ptr<PoolFiles> pool_;
  // Where writes are acknowledged from staging memory, or were before.
  std::unique_ptr<StagingFile> staging_file_;
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<StagedDevice> staged_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<control::Api> api_;
  std::unique_ptr<control::Server> control_;
  std::unique_ptr<nbd::Server> nbd_;
  std::vector<std::string> nbd_addresses_;
  bool stopped_ = false;
};

}  // namespace brindle::daemon
