#include "check/offline.h"

#include <optional>

#include <fmt/format.h>

#include "device/file_device.h"

namespace brindle {

namespace {

constexpr u64 watch_ns = 20 * millisecond_ns;

/// Runs as long as the check does, and ends the reactor behind it.
Task<void> watch_it(Reactor& reactor, VerifyProgress& progress, const CheckWatcher& watch, const bool& done) {
  while (!done) {
    if (watch && !watch(progress.done, progress.total)) progress.stop = true;
    co_await reactor.sleep(watch_ns);
  }
  reactor.stop();
}

Task<void> verify_it(Reactor& reactor, Device& device, VerifyOptions options, VerifyProgress& progress,
                     std::optional<Result<CheckReport>>& out, bool& done) {
  auto report = co_await verify(reactor, device, options, &progress);
  out.emplace(std::move(report));
  done = true;
}

}  // namespace

Result<CheckReport> verify_file(const std::string& path, VerifyOptions options, CheckWatcher watch) {
  auto reactor = Reactor::create({.entries = 256});
  if (!reactor) return reactor.error();
  auto device = FileDevice::open(**reactor, path, {.read_only = true});
  if (!device && device.code() == Code::busy) {
    return Error{Code::busy, fmt::format("{}: a daemon has this pool open: use `brindle check` without --offline, or "
                                         "stop the daemon first",
                                         path)};
  }
  if (!device) return device.error();
  VerifyProgress progress;
  std::optional<Result<CheckReport>> report;
  bool done = false;
  start(verify_it(**reactor, **device, options, progress, report, done));
  start(watch_it(**reactor, progress, watch, done));
  (*reactor)->run();
  if (!report) return Error{Code::io, fmt::format("{}: the check did not come to its end", path)};
  if (!report->ok()) return Error{report->code(), fmt::format("{}: {}", path, report->error().message)};
  return std::move(*report);
}

}  // namespace brindle
