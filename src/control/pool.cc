// pool.cc: the pool as a whole: its status, its size, and the jobs over all of it.
#include <unistd.h>

#include "control/api.h"
#include "control/problem.h"

namespace brindle::control {

void Api::write_pool(JsonWriter& to, const PoolStatus& pool) {
  to.begin_object().member("path", pool.path).key("members").begin_array();
  for (const DevicePart& member : pool.members) {
    to.begin_object()
        .member("path", member.name)
        .member("size", member.size_max)
        .member("allocated", member.size)
        .end_object();
  }
  to.end_array().member("uuid", pool.uuid).member("size", pool.size);
  to.member("allocated", pool.allocated).member("used", pool.used).member("reclaiming", pool.reclaiming);
  to.member("free", pool.free).member("volumes", pool.volumes).member("snapshots", pool.snapshots);
  to.member("writable", pool.writable).member("health", pool.health).end_object();
}

Answer Api::status(Call& call) {
  if (auto status = call.finish(); !status) return problem(status.error());
  PoolStatus now;
  const auto ask = [this] { return ask_blocking(home_, [this] { return engine_.status(); }); };
  const Rates rates = meter_.rates(ask, now);
  const NbdStatus nbd = about_.nbd ? about_.nbd() : NbdStatus();
  JsonWriter to;
  to.begin_object().member("version", about_.version).member("uptime_s", (home_.now_ns() - started_ns_) / second_ns);
  to.member("pid", static_cast<u64>(getpid()));
  write_pool(to.key("pool"), now);
  to.key("cache").begin_object().member("bytes", now.cache_bytes).member("segment_bytes", now.segment_bytes);
  to.member("memory_max", now.memory_max);
  to.member("hits", now.cache_hits).member("misses", now.cache_misses).end_object();
  to.key("io").begin_object().member("reads", now.reads).member("read_bytes", now.read_bytes);
  to.member("writes", now.writes).member("write_bytes", now.write_bytes).member("flushes", now.flushes);
  to.member("device_read_bytes", now.device_read).member("device_written_bytes", now.device_written).end_object();
  to.key("rates").begin_object().member("reads_s", rates.reads).member("writes_s", rates.writes);
  to.member("read_bytes_s", rates.read_bytes).member("write_bytes_s", rates.write_bytes).end_object();
  to.key("log").begin_object().member("bytes", now.log_bytes).member("checkpoints", now.checkpoints);
  to.member("replayed_batches", now.replayed_batches).member("replay_us", now.replay_us);
  to.member("ack", now.staged ? "staged" : "device").member("unstaged_bytes", now.unstaged_bytes).end_object();
  to.key("nbd").begin_object().member("connections", nbd.connections).key("sockets").begin_array();
  for (const std::string& socket : nbd.sockets) to.value(socket);
  to.end_array().end_object().end_object();
  return document(to);
}

Answer Api::pool_show(Call& call) {
  if (auto status = call.finish(); !status) return problem(status.error());
  JsonWriter to;
  write_pool(to, ask_blocking(home_, [this] { return engine_.status(); }));
  return document(to);
}

Answer Api::pool_grow(Call& call) {
  const u64 size = call.body.size("size");
  call.body.require("size");
  if (auto status = call.finish(); !status) return problem(status.error());
  const Status grown = call_blocking(home_, [&] { return engine_.pool_grow(size); });
  return grown ? pool_show(call) : problem(grown.error());
}

Answer Api::sync(Call& call) {
  if (auto status = call.finish(); !status) return problem(status.error());
  const Status done = wait_for_reclaim();
  return done ? status(call) : problem(done.error());
}

/// A job of the engine: `run` gets the progress, which belongs to the home core.
template <class Run>
JobSteps Api::steps(Run run) {
  const auto progress = std::make_shared<Engine::Progress>();
  JobSteps steps;
  steps.run = [this, progress, run] { return call_blocking(home_, [progress, run] { return run(progress.get()); }); };
  steps.progress = [this, progress] { return ask_blocking(home_, [progress] { return *progress; }); };
  steps.stop = [this, progress] { ask_blocking(home_, [progress] { return progress->stop = true; }); };
  return steps;
}

Answer Api::scrub_start(Call& call) {
  if (auto status = call.finish(); !status) return problem(status.error());
  return start(scrub_, steps([this](Engine::Progress* progress) { return engine_.scrub(progress); }));
}

namespace {

Task<Result<std::vector<DamageRange>>> tidy(Engine& engine, std::vector<std::string> names,
                                            Engine::Progress* progress) {
  const Status status = co_await engine.tidy(std::move(names), progress);
  if (!status) co_return status.error();
  co_return std::vector<DamageRange>();
}

}  // namespace

Answer Api::tidy_start(Call& call) {
  const std::vector<std::string> names = call.body.texts("volumes");
  if (auto status = call.finish(); !status) return problem(status.error());
  for (const std::string& name : names) {
    if (auto entry = find_kind(name, false); !entry) return problem(entry.error());
  }
  return start(tidy_, steps([this, names](Engine::Progress* progress) { return tidy(engine_, names, progress); }));
}

Answer Api::check_start(Call& call) {
  if (auto status = call.finish(); !status) return problem(status.error());
  if (!about_.check) return problem({Code::unsupported, "this daemon was built without the verifier"});
  return start(check_, about_.check());
}

}  // namespace brindle::control
