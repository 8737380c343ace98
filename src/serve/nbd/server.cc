#include "serve/nbd/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/remote.h"
#include "serve/nbd/protocol.h"
#include "serve/nbd/worker.h"

namespace brindle::nbd {

namespace {

// Out of descriptors or memory: the connection waits in the backlog meanwhile.
constexpr u64 accept_retry_ns = 100 * millisecond_ns;

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(Engine& engine, Reactor& home, std::vector<Reactor*> cores,
                                               ServerOptions options) {
  std::unique_ptr<Server> server(new Server(home, options.limits));
  if (!options.unix_path.empty()) {
    auto listener = Listener::on_path(options.unix_path);
    if (!listener) return listener.error();
    server->listeners_.push_back(std::move(*listener));
  }
  for (const std::string& address : options.tcp) {
    auto listener = Listener::on_tcp(address);
    if (!listener) return listener.error();
    server->listeners_.push_back(std::move(*listener));
  }
  Limits each = options.limits;
  // Each core has its own part, and the largest request must fit.
  each.shared_bytes = std::max<u64>(each.shared_bytes / cores.size(), request_size_max);
  for (Reactor* core : cores) {
    server->workers_.push_back(std::make_unique<Worker>(engine, home, *core, each, server->count_));
  }
  for (const auto& worker : server->workers_) worker->join(server->workers_);
  home.post_remote([&accepting = *server] {
    for (const Listener& listener : accepting.listeners_) accepting.accepting_.spawn(accepting.accept(listener.fd()));
  });
  return server;
}

Server::Server(Reactor& home, Limits limits) : home_(home), limits_(limits), accepting_(home) {}

Server::~Server() = default;

std::vector<std::string> Server::addresses() const {
  std::vector<std::string> addresses;
  for (const Listener& listener : listeners_) addresses.push_back(listener.address());
  return addresses;
}

Task<void> Server::accept(int fd) {
  while (!closing_) {
    const int client = co_await home_.accept(fd);
    if (client == -ECANCELED || client == -EBADF || client == -EINVAL) break;
    if (client == -EMFILE || client == -ENFILE || client == -ENOMEM || client == -ENOBUFS) {
      co_await home_.sleep(accept_retry_ns);
      continue;
    }
    if (client < 0) continue;  // that client has gone again
    if (closing_ || count_.load() >= limits_.connections) {
      ::close(client);
      continue;
    }
    tune_connection(client);
    count_.fetch_add(1);
    Worker& worker = *workers_[next_worker_++ % workers_.size()];
    if (worker.is_home()) {
      worker.serve(client);
    } else {
      worker.core().post_remote([&worker, client] { worker.serve(client); });
    }
  }
}

Task<void> Server::close_worker(Worker& worker) {
  const auto closed = [&]() -> Task<Status> {
    co_await worker.close();
    co_return Status{};
  };
  const Status status = co_await on(worker.core(), home_, closed);
  static_cast<void>(status);
}

Task<void> Server::close() {
  co_await home_.sleep(0);  // listen's own message has arrived by then
  closing_ = true;
  // Not by cancelling what waits on the descriptor, which takes Linux 5.19.
  for (const Listener& listener : listeners_) ::shutdown(listener.fd(), SHUT_RDWR);
  co_await accepting_.close();
  listeners_.clear();
  Gate workers(home_);
  for (const auto& worker : workers_) workers.spawn(close_worker(*worker));
  co_await workers.close();
}

}  // namespace brindle::nbd
