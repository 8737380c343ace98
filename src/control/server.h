// server.h: listens on the control socket and, where asked to, on a TCP address; a thread for each connection.
//
// Holds:  1. At most `connections_max` connections. When all are taken the one that has been idle longest is closed.
//         2. A slow, stuck or silly client holds up its own thread only. Without requests every thread sleeps in the kernel.
//         3. The caller holds the state folder's lock: a socket that lies there is a dead daemon's, and is replaced.
// Caller: one thread, not a reactor's; `handler` is called from many.
// Fails:  invalid (a path too long, an address that is none), exists (something else lies in the socket's place), io.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "control/http.h"

namespace brindle::control {

struct ServerOptions {
  std::string unix_path;
  std::string tcp;  // "ADDR:PORT", or ""; port 0: any
  size_t connections_max = 128;
};

class Server {
 public:
  using Handler = std::function<Answer(const Request&)>;
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Handler handler);
  ~Server();

  /// Where it listens: "unix:PATH", "http://127.0.0.1:8080".
  std::vector<std::string> addresses() const { return addresses_; }
  /// Takes no more requests; answers that are under way are still sent.
  void refuse();
  /// Waits until the last connection has ended; those that do not end by themselves are cut.
  void close();

 private:
  struct Client {
    int fd = -1;
    bool idle = true;
    u64 since = 0;  // in order of becoming idle
  };

  Server(ServerOptions options, Handler handler) : options_(std::move(options)), handler_(std::move(handler)) {}
  Status listen_unix();
  Status listen_tcp();
  void accept_all();
  bool make_room();
  void admit(int fd, Way way);
  void serve(u64 id, int fd, Way way);

  ServerOptions options_;
  Handler handler_;
  std::vector<std::string> addresses_;
  int unix_fd_ = -1;
  int tcp_fd_ = -1;
  Way tcp_way_ = Way::loopback;
  int wake_fd_ = -1;
  std::thread acceptor_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<u64, Client> clients_;
  u64 next_id_ = 1;
  u64 clock_ = 0;
  bool refusing_ = false;
};

}  // namespace brindle::control
