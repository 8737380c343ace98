#include "serve/attach/server.h"

#include <malloc.h>
#include <poll.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "serve/attach/nbd_client.h"
#include "serve/attach/served_file.h"

namespace brindle::attach {

namespace {

constexpr unsigned signals_every = 1024;   // turns
constexpr int buffers_stay = 4 * MiB;      // smaller ones are reused from the heap, not mapped anew each time

/// What is written at the end, behind all else.
class LastFlush final : public Command {
 public:
  explicit LastFlush(bool& done) : Command(Type::flush, 0, 0), done_(done) {}
  void finish(int error) override {
    if (error != 0) log_line(fmt::format("the last flush failed: {}", std::strerror(error)));
    done_ = true;
  }

 private:
  bool& done_;
};

class Server {
 public:
  Server(const ServeOptions& options, const FindVolume& find)
      : options_(options),
        link_(options.place.uuid(), options.name, options.nbd_socket, options.read_only, Replies::structured, find) {}

  Status start();
  void run();

 private:
  Status connect();
  void connection_lost(const Error& error);
  void try_again();
  bool turn();
  void sleep();
  void take_signals();
  void ask_size();
  void size_is(u64 bytes);
  bool finished();
  void note();

  const ServeOptions& options_;
  VolumeLink link_;
  Fd alive_;
  Fd signals_;
  NbdClient client_;
  std::unique_ptr<ServedFile> file_;
  bool ending_ = false;
  bool last_flush_sent_ = false, last_flush_done_ = false;
};

Status Server::start() {
  auto alive = options_.place.hold_alive();
  if (!alive) return alive.error();
  alive_ = std::move(*alive);

  ::mallopt(M_MMAP_THRESHOLD, buffers_stay);
  ::mallopt(M_TRIM_THRESHOLD, buffers_stay);
  auto signals = become_disk({SIGTERM, SIGINT, SIGHUP});
  if (!signals) return signals.error();
  signals_ = std::move(*signals);

  if (auto status = connect(); !status) return status;
  std::unique_ptr<Overlay> overlay;
  if (options_.overlay) {
    auto opened = Overlay::open(options_.place.folder());
    if (!opened) return opened.error();
    overlay = std::move(*opened);
  }
  ServedFileOptions file;
  file.folder = options_.place.disk();
  file.file_name = options_.file_name;
  file.label = "brindle:" + link_.name();
  file.read_only = options_.read_only && !options_.overlay;
  auto mounted = ServedFile::mount(file, client_, std::move(overlay));
  if (!mounted) return mounted.error();
  file_ = std::move(*mounted);
  file_->set_size(client_.connection().size);
  log_line(fmt::format("serves {} ({} bytes{})", link_.name(), file_->size(), options_.read_only ? ", read-only" : ""));
  note();
  return {};
}

Status Server::connect() {
  auto connection = link_.connect();
  if (!connection) return connection.error();
  const u64 size = connection->size;
  client_.adopt(std::move(*connection));
  size_is(size);
  return {};
}

void Server::connection_lost(const Error& error) {
  log_line(fmt::format("{}: I/O waits ({} requests)", error.message, client_.unanswered()));
  link_.lost();
  note();
}

void Server::try_again() {
  auto status = connect();
  link_.tried(status);
  if (!status) return;
  log_line(fmt::format("connected again: {} requests go on", client_.unanswered()));
  note();
}

void Server::size_is(u64 bytes) {
  if (file_ == nullptr || file_->size() == bytes) return;
  log_line(fmt::format("{} has {} bytes now, {} before", link_.name(), bytes, file_->size()));
  file_->set_size(bytes);
  note();
}

void Server::ask_size() {
  if (!client_.connected()) return link_.hurry();  // connecting tells the size too
  const auto size = link_.ask_size();
  if (!size) return log_line(fmt::format("no present size: {}", size.error().message));
  size_is(*size);
  note();
}

void Server::take_signals() {
  signalfd_siginfo signal{};
  while (::read(signals_.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
    if (signal.ssi_signo == SIGHUP) {
      ask_size();
    } else if (!ending_) {
      ending_ = true;
      if (file_->handles() > 0) log_line("asked to end: waits until the device lets go of the file");
    }
  }
}

bool Server::finished() {
  if (file_->ended() && !client_.connected()) return true;
  if (!file_->ended() && (!ending_ || file_->handles() > 0)) return false;
  if (options_.read_only || !client_.connection().can_flush()) return client_.unanswered() == 0;
  if (!last_flush_sent_) client_.submit(std::make_unique<LastFlush>(last_flush_done_));
  last_flush_sent_ = true;
  return last_flush_done_ && client_.unanswered() == 0;
}

/// One look at everything. True: something moved.
bool Server::turn() {
  bool moved = file_->pump();
  if (client_.connected()) {
    auto pumped = client_.pump();
    if (!pumped) {
      connection_lost(pumped.error());
    } else {
      moved = moved || *pumped;
    }
  } else if (link_.is_due()) {
    try_again();
    moved = true;
  }
  if (link_.gone() && client_.unanswered() > 0) client_.fail_all(EIO);
  return moved;
}

void Server::sleep() {
  pollfd watched[3] = {{file_->ended() ? -1 : file_->fd(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {-1, 0, 0}};
  int timeout_ms = -1;
  if (client_.connected()) {
    watched[2] = {client_.socket(), static_cast<short>(client_.wants_to_send() ? POLLIN | POLLOUT : POLLIN), 0};
  } else {
    timeout_ms = link_.wait_ms();
  }
  if (::poll(watched, 3, timeout_ms) > 0 && watched[1].revents != 0) take_signals();
}

void Server::run() {
  for (unsigned turns = 1; !finished(); ++turns) {
    if (turns % signals_every == 0) take_signals();  // under load it never sleeps
    // Looking again for 50 µs before sleeping was slower here at every depth: on two cores it takes the daemon's time.
    if (!turn()) sleep();
  }
  client_.drop();
  log_line("ends");
}

void Server::note() {
  ServerState state;
  state.pid = ::getpid();
  state.name = link_.name();
  state.size = file_ != nullptr ? file_->size() : 0;
  state.connected = client_.connected();
  if (auto status = options_.place.write_server(state); !status) log_line(status.error().message);
}

}  // namespace

int serve(const ServeOptions& options, const FindVolume& find, const std::function<void(Status)>& ready) {
  Server server(options, find);
  if (auto status = server.start(); !status) {
    ready(status);
    return 1;
  }
  ready({});
  server.run();
  return 0;
}

}  // namespace brindle::attach
