#include "daemon/daemon.h"

#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "base/names.h"
#include "control/listen.h"
#include "daemon/check.h"
#include "daemon/notify.h"
#include "daemon/version.h"

namespace brindle::daemon {

namespace {

/// ":10809" is a port of this machine's own.
std::string with_host(const std::string& address) {
  auto where = control::parse_host_port(address);
  if (!where) return address;
  const bool brackets = where->host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", brackets ? "[" : "", where->host, brackets ? "]" : "", where->port);
}

/// Of what has nothing to say when it is closed.
template <class Closes>
Task<Status> closed(Closes& what) {
  co_await what.close();
  co_return Status{};
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::start(const Options& options) {
  std::unique_ptr<Daemon> daemon(new Daemon());
  auto state = StateFolder::open(options.state);
  if (!state) return state.error();
  daemon->state_ = std::make_unique<StateFolder>(std::move(state).value());
  if (auto status = daemon->start_cores(options); !status) return status.error();
  if (auto status = daemon->open_engine(options); !status) return status.error();
  if (auto status = daemon->listen(options); !status) return status.error();
  return daemon;
}

Daemon::~Daemon() { static_cast<void>(stop().ok()); }

Status Daemon::start_cores(const Options& options) {
  const std::vector<int> cores = options.cores.empty() ? std::vector<int>{-1} : options.cores;
  for (int core : cores) {
    ReactorOptions reactor_options;
    reactor_options.core = core;
    auto reactor = Reactor::create(reactor_options);
    if (!reactor) return Error{reactor.code(), "reactor: " + reactor.error().message};
    cores_.push_back({std::move(reactor).value(), {}});
  }
  for (Core& core : cores_) {
    core.thread = std::thread([reactor = core.reactor.get()] { reactor->run(); });
  }
  return {};
}

/// What an earlier daemon staged is found whether this one is to stage or not. Tells whether that one left its memory.
Result<bool> Daemon::open_staging(const Options& options) {
  auto boot = boot_id();
  if (!boot && !options.staged) return false;
  if (!boot) return boot.error();
  const auto [device, inode] = pool_->first_file();
  const StagingOwner owner{.boot = *boot, .device = device, .inode = inode};
  const bool was_there = StagingFile::is_there(options.staging, owner);
  if (!options.staged && !was_there) return false;
  auto file = StagingFile::open(options.staging, owner);
  if (!file) return file.error();
  staging_file_ = std::move(file).value();
  staging_ = std::make_unique<Staging>(staging_file_->memory(), owner);
  if (pool_->is_new()) staging_->clear();  // of another file, that had its number before
  staged_ = std::make_unique<StagedDevice>(home(), pool_->device(), *staging_, options.staged);
  return was_there;
}

Status Daemon::open_engine(const Options& options) {
  const bool is_default = options.pools.empty();
  std::vector<std::string> paths = is_default ? std::vector<std::string>{state_->pool()} : options.pools;
  for (std::string& path : paths) path = std::filesystem::absolute(path).lexically_normal().string();
  auto pool = PoolFiles::open(home(), paths, is_default, options);
  if (!pool) return pool.error();
  pool_ = std::move(pool).value();
  const std::string& text = pool_->text();
  const auto was_there = open_staging(options);
  if (!was_there) return was_there.error();
  EngineOptions engine_options;
  engine_options.create = pool_->is_new();
  engine_options.memory_max = options.memory;
  engine_options.uuid = pool_->uuid();
  auto opened = call_blocking(home(), [&] { return Engine::open(home(), device(), engine_options); });
  if (!opened) return Error{opened.code(), fmt::format("{}: {}", text, opened.error().message)};
  engine_ = std::move(opened).value();
  if (auto status = pool_->keep(); !status) return status;
  PoolStatus status = ask_blocking(home(), [this] { return engine_->status(); });
  if (options.pool_size && *options.pool_size > status.size) {
    const Status grown = call_blocking(home(), [&] { return engine_->pool_grow(*options.pool_size); });
    // One that can only be read is served all the same: what it holds can be had still.
    if (!grown && grown.code() == Code::read_only) {
      spdlog::warn("{}: it cannot grow to {}: {}", text, format_size(*options.pool_size), grown.error().message);
    } else if (!grown && grown.code() != Code::invalid) {
      return Error{grown.code(), fmt::format("{}: {}", text, grown.error().message)};
    }
    status = ask_blocking(home(), [this] { return engine_->status(); });
  }
  spdlog::info("{}: {}, {} volumes, {} snapshots, {} used of {}", text, pool_->is_new() ? "made" : "opened",
               status.volumes, status.snapshots, format_size(status.used), format_size(status.size));
  if (status.replayed_batches > 0) {
    spdlog::info("{}: it was not closed in order: {} batches of the log were replayed in {:.1f} ms", text,
                 status.replayed_batches, static_cast<double>(status.replay_us) / 1000);
  }
  if (status.unstaged_bytes > 0) {
    spdlog::info("{}: {} of acknowledged writes were still in staging memory, and were written", text, format_size(status.unstaged_bytes));
  }
  if (status.was_staged && !*was_there) {
    spdlog::warn("{}: it was not closed in order, and its staging memory is not in {}: unless the machine was restarted since, writes that "
                 "were acknowledged and not flushed are lost",
                 text, options.staging);
  }
  // What was in it the device has, and a flush after it.
  if (staging_file_ && !options.staged) staging_file_->remove();
  if (!status.writable) spdlog::error("{}: read-only: {}", text, status.health);
  return {};
}

Status Daemon::listen(const Options& options) {
  nbd::ServerOptions nbd_options;
  nbd_options.unix_path = state_->nbd_socket();
  if (!options.nbd.empty()) nbd_options.tcp.push_back(with_host(options.nbd));
  std::vector<Reactor*> reactors;
  for (const Core& core : cores_) reactors.push_back(core.reactor.get());
  auto exports = ask_blocking(home(), [&] { return nbd::Server::listen(*engine_, home(), reactors, nbd_options); });
  if (!exports) return Error{exports.code(), "NBD: " + exports.error().message};
  nbd_ = std::move(exports).value();
  nbd_addresses_ = nbd_->addresses();
  for (const std::string& address : nbd_addresses_) spdlog::info("NBD on {}", address);

  control::About about;
  about.version = version_text;
  about.nbd = [this] { return control::NbdStatus{nbd_->connections(), nbd_addresses_}; };
  about.check = [this] { return check_steps(*engine_, pool_->device(), home()); };
  api_ = std::make_unique<control::Api>(*engine_, home(), about);
  const auto handler = [this](const control::Request& request) { return api_->handle(request); };
  auto server = control::Server::start({state_->control_socket(), options.http}, handler);
  if (!server) return Error{server.code(), "control: " + server.error().message};
  control_ = std::move(server).value();
  for (const std::string& address : control_->addresses()) spdlog::info("control API on {}", address);
  return {};
}

std::string Daemon::ready_line() const {
  return fmt::format("ready: pool {}, control {}, NBD {}", pool_->device().name(), fmt::join(control_->addresses(), ", "),
                     fmt::join(nbd_addresses_, ", "));
}

Status Daemon::stop() {
  if (stopped_) return {};
  stopped_ = true;
  Status status;
  if (control_) control_->refuse();
  if (api_) api_->close();
  if (nbd_) static_cast<void>(call_blocking(home(), [this] { return closed(*nbd_); }).ok());
  if (engine_) status = call_blocking(home(), [this] { return engine_->close(); });
  if (staged_) {
    static_cast<void>(call_blocking(home(), [this] { return closed(*staged_); }).ok());
    if (staged_->settled()) staging_file_->remove();
  }
  if (control_) control_->close();
  control_.reset();
  api_.reset();
  if (engine_) ask_blocking(home(), [this] { return nbd_.reset(), engine_.reset(), true; });
  if (staged_) ask_blocking(home(), [this] { return staged_.reset(), true; });
  for (Core& core : cores_) {
    if (!core.thread.joinable()) continue;
    core.reactor->stop();
    core.thread.join();
  }
  staging_.reset();
  staging_file_.reset();
  pool_.reset();
  cores_.clear();
  state_.reset();
  return status;
}

}  // namespace brindle::daemon
