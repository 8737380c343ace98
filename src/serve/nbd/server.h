// server.h: the NBD face: volumes and snapshots of one engine as exports, on a Unix socket and on TCP.
//
// Export `db` is the volume, `db@monday` its snapshot, read-only; the empty name is the only volume, where there is one only.
//
// Holds:  1. Engine calls are made on the engine's core alone; receiving, sending and parsing happen on the connection's.
//         2. What one client does (garbage, silence, too much) costs the others nothing but its bounded share of memory.
//         3. A volume lives on one of the cores, by its number, and its clients are served there.
//         4. A flush on one connection covers what was acknowledged on any other.
// Caller: `listen` before the reactors run or on `home`; `close` on `home`; the rest from any thread.
// Fails:  listen: invalid (an address, or a path too long for a socket), busy (another server is there), io.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "runtime/reactor.h"
#include "runtime/sync.h"
#include "serve/nbd/limits.h"
#include "serve/nbd/sockets.h"
#include "volume/engine.h"

namespace brindle::nbd {

class Worker;

struct ServerOptions {
  std::string unix_path;         // none where it is empty
  std::vector<std::string> tcp;  // "127.0.0.1:10809", "[::1]:0"
  Limits limits;
};

class Server {
 public:
  /// Binds at once. Engine calls are made on `home` (the engine's reactor); volumes, and so their
  /// connections, are spread over `cores` (which includes home).
  static Result<std::unique_ptr<Server>> listen(Engine& engine, Reactor& home, std::vector<Reactor*> cores,
                                                ServerOptions options);
  /// After `close`, or when the reactors run no more.
  ~Server();

  /// Stops accepting, lets requests under way finish (for Limits::close_ns, where clients do not take their replies), closes
  /// all connections. To be called before the engine's own close.
  Task<void> close();
  u64 connections() const { return count_.load(); }
  std::vector<std::string> addresses() const;

 private:
  Server(Reactor& home, Limits limits);
  Task<void> accept(int fd);
  Task<void> close_worker(Worker& worker);

  Reactor& home_;
  Limits limits_;
  std::vector<Listener> listeners_;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t next_worker_ = 0;
  std::atomic<u64> count_{0};
  Gate accepting_;
  bool closing_ = false;
};

}  // namespace brindle::nbd
