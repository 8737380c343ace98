// worker.h: the NBD connections of one core, and what they share: receive memory, buffers, and a budget of payload.
//
// Holds:  1. The inbox belongs to whoever runs; nobody keeps anything in it over a suspension.
//         2. Of connections that wait for shared memory the first gets it first, so that large requests are not starved.
//         3. A client that hardly moves while it holds what others wait for is hung up on.
//         4. A client is served where its volume lives: one core for a volume, for as long as the daemon runs.
// Caller: the worker's own core; `find_export` runs on the engine's.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <vector>

#include "runtime/reactor.h"
#include "runtime/sync.h"
#include "serve/nbd/buffer_pool.h"
#include "serve/nbd/limits.h"
#include "volume/engine.h"
#include "volume/outpost.h"

namespace brindle::nbd {

class Connection;

/// What a name stands for, as a client is told.
struct Export {
  u64 id = 0;  // of the volume or snapshot
  std::string name;
  u64 size = 0;
  bool read_only = false;
  std::string description;
  std::unique_ptr<Handle> handle;  // where it was asked for; lives and dies on the engine's core
};

/// What a client and the server have agreed on, once it has its volume.
struct Agreed {
  int fd = -1;
  bool no_zeroes = false;
  bool structured = false;
  bool read_only = false;
  bool has_context = false;
  u64 id = 0;
  std::unique_ptr<Handle> handle;
};

class Worker {
 public:
  Worker(Engine& engine, Reactor& home, Reactor& core, Limits limits, std::atomic<u64>& connections);
  ~Worker();

  /// Takes a client over. From the reactor's thread.
  void serve(int fd);
  /// Takes a client over from another worker, or leaves all as it is. From the reactor's thread. Fails: stopping.
  Task<Status> take_over(Agreed& agreed);
  /// Whose the clients of a volume are, of all workers, which do not change any more.
  Worker& place(u64 id) const { return *(*workers_)[id % workers_->size()]; }
  void join(const std::vector<std::unique_ptr<Worker>>& workers) { workers_ = &workers; }
  /// Lets requests under way finish and closes every connection; after Limits::close_ns it hangs up.
  Task<void> close();

  Reactor& home() { return home_; }
  Reactor& core() { return core_; }
  bool is_home() const { return &home_ == &core_; }
  const Limits& limits() const { return limits_; }
  BufferPool& buffers() { return buffers_; }
  MutBytes inbox() { return inbox_.span(); }
  /// How this core reads and writes; it is not there at home, where the handle does it.
  Outpost& outpost() { return *outpost_; }

  /// On the engine's core. An empty name is the only volume, where there is one only.
  Task<Result<Export>> find_export(std::string name, bool open);
  struct Names {
    std::vector<std::string> names;
    std::string next;  // the name to go on behind; "" at the end
  };
  /// On the engine's core: some names of volumes, or of snapshots, behind `after` ("" at first). There may be very many.
  Task<Result<Names>> export_names(bool snapshots, std::string after);

  // --- the shared budget
  bool try_take(Connection& who, u64 bytes);
  void wait_in_line(Connection& who);
  void leave_line(Connection& who);
  void give_back(u64 bytes);
  /// Something began that has a time limit.
  void watch_wanted() { watch_.notify_all(); }

 private:
  void begin(std::unique_ptr<Connection> connection);
  Task<void> run(std::unique_ptr<Connection> connection);
  Task<void> watch();
  bool needs_watching() const;
  Names some_names(bool snapshots, std::string after);

  Engine& engine_;
  Reactor& home_;
  Reactor& core_;
  Limits limits_;
  std::atomic<u64>& count_;
  std::unique_ptr<Outpost> outpost_;
  const std::vector<std::unique_ptr<Worker>>* workers_ = nullptr;
  AlignedBuffer inbox_;
  BufferPool buffers_;
  std::list<Connection*> connections_;
  std::list<Connection*> line_;  // who waits for shared memory
  u64 shared_left_;
  Signal watch_;
  Gate gate_;
  bool watching_ = false;
  bool closing_ = false;
  u64 close_by_ns_ = 0;
};

}  // namespace brindle::nbd
