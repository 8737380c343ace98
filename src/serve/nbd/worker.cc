#include "serve/nbd/worker.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/names.h"
#include "serve/nbd/connection.h"

namespace brindle::nbd {

namespace {

constexpr u64 inbox_bytes = 256 * KiB;
constexpr u64 names_a_look = 256;  // that one visit to the engine's core collects: some hundred microseconds

}  // namespace

Worker::Worker(Engine& engine, Reactor& home, Reactor& core, Limits limits, std::atomic<u64>& connections)
    : engine_(engine),
      home_(home),
      core_(core),
      limits_(limits),
      count_(connections),
      outpost_(is_home() ? nullptr : engine.outpost(core)),
      inbox_(inbox_bytes),
      shared_left_(limits.shared_bytes),
      watch_(core),
      gate_(core) {}

Worker::~Worker() { CHECK(connections_.empty()); }

void Worker::serve(int fd) {
  if (closing_) {
    ::close(fd);
    count_.fetch_sub(1);
    return;
  }
  begin(std::make_unique<Connection>(*this, fd));
}

Task<Status> Worker::take_over(Agreed& agreed) {
  if (closing_) co_return Error{Code::stopping, "the server is stopping"};
  count_.fetch_add(1);
  begin(std::make_unique<Connection>(*this, std::move(agreed)));
  co_return Status{};
}

void Worker::begin(std::unique_ptr<Connection> connection) {
  if (!watching_) {
    watching_ = true;
    gate_.spawn(watch());
  }
  gate_.spawn(run(std::move(connection)));
  watch_wanted();
}

Task<void> Worker::run(std::unique_ptr<Connection> connection) {
  const auto place = connections_.insert(connections_.end(), connection.get());
  co_await connection->run();
  connections_.erase(place);
  connection.reset();
  count_.fetch_sub(1);
  if (connections_.empty()) buffers_.trim(0);
  watch_wanted();
}

Task<void> Worker::close() {
  closing_ = true;
  close_by_ns_ = core_.now_ns() + limits_.close_ns;
  for (Connection* connection : connections_) connection->end();
  watch_wanted();
  co_await gate_.close();
  if (!outpost_) co_return;
  const Status closed = co_await outpost_->close();
  static_cast<void>(closed);
}

// --- time limits ----------------------------------------------------------------------------------------------------

bool Worker::needs_watching() const {
  return closing_ || !line_.empty() ||
         std::any_of(connections_.begin(), connections_.end(), [](const Connection* c) { return c->negotiating(); });
}

Task<void> Worker::watch() {
  const u64 shortest = std::min({limits_.negotiation_ns, limits_.stall_ns, limits_.close_ns});
  const u64 tick_ns = std::clamp(shortest / 8, 10 * millisecond_ns, second_ns);
  while (!closing_ || !connections_.empty()) {
    if (!needs_watching()) {
      co_await watch_.wait();
      continue;
    }
    const u64 before = core_.now_ns();
    co_await core_.sleep(closing_ ? std::min(tick_ns, 20 * millisecond_ns) : tick_ns);
    const u64 now = core_.now_ns();
    for (Connection* connection : connections_) {
      const bool late = connection->negotiating() && now - connection->since_ns() > limits_.negotiation_ns;
      const bool stalled = !line_.empty() && connection->hardly_moves(now - before);
      if (late || stalled || (closing_ && now >= close_by_ns_)) connection->hang_up();
    }
  }
}

// --- the shared budget ----------------------------------------------------------------------------------------------

bool Worker::try_take(Connection& who, u64 bytes) {
  if (bytes > shared_left_ || (!line_.empty() && line_.front() != &who)) return false;
  shared_left_ -= bytes;
  return true;
}

void Worker::wait_in_line(Connection& who) {
  if (std::find(line_.begin(), line_.end(), &who) != line_.end()) return;
  line_.push_back(&who);
  watch_wanted();
}

void Worker::leave_line(Connection& who) {
  const bool first = !line_.empty() && line_.front() == &who;
  line_.remove(&who);
  if (first && !line_.empty()) line_.front()->room_made();
}

void Worker::give_back(u64 bytes) {
  if (bytes == 0) return;
  shared_left_ += bytes;
  if (!line_.empty()) line_.front()->room_made();
}

// --- on the engine's core -------------------------------------------------------------------------------------------

Worker::Names Worker::some_names(bool snapshots, std::string after) {
  ListQuery query;
  query.snapshots = snapshots;
  ListPiece piece = engine_.list_piece(query, ListKey::name, std::move(after), names_a_look);
  std::vector<u64> ids;
  for (const ListItem& item : piece.items) ids.push_back(item.id);
  Names some{{}, std::move(piece.next)};
  for (EntryInfo& info : engine_.infos(std::move(ids))) some.names.push_back(std::move(info.name));
  return some;
}

Task<Result<Export>> Worker::find_export(std::string name, bool open) {
  if (name.empty()) {
    const u64 volumes = engine_.status().volumes;
    Names only;
    // Deleted ones, of which snapshots are left, are looked at and not named: the only one may lie behind them.
    if (volumes == 1) only = some_names(false, "");
    while (only.names.empty() && !only.next.empty()) only = some_names(false, only.next);
    if (only.names.size() != 1) {
      co_return Error{Code::not_found, fmt::format("there are {} volumes here: name the one you want", volumes)};
    }
    name = only.names.front();
  }
  auto info = engine_.show(name);
  if (!info) co_return info.error();
  if (info->deleted) co_return Error{Code::not_found, fmt::format("{} was deleted; only snapshots of it are left", name)};
  Export found;
  found.id = info->id;
  found.name = name;
  found.size = info->size;
  found.read_only = info->is_snapshot || !engine_.status().writable;
  found.description = info->is_snapshot ? fmt::format("snapshot of {}, {}", info->volume, format_size(info->size))
                                        : fmt::format("volume, {}", format_size(info->size));
  if (open) {
    auto handle = engine_.open_handle(name, found.read_only);
    if (!handle) co_return handle.error();
    found.handle = std::move(*handle);
  }
  co_return found;
}

Task<Result<Worker::Names>> Worker::export_names(bool snapshots, std::string after) {
  co_return some_names(snapshots, after);
}

}  // namespace brindle::nbd
