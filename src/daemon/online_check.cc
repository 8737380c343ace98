#include "daemon/online_check.h"

#include "check/verify.h"
#include "runtime/remote.h"

namespace brindle::daemon {

namespace {

using Damage = Result<std::vector<DamageRange>>;

Task<Damage> check(Runtime& home, Engine& engine, Device& device, std::shared_ptr<VerifyProgress> progress) {
  const Status synced = co_await engine.sync();
  // A pool that takes no changes any more cannot make a checkpoint either: then the last one is looked at.
  if (!synced && synced.code() != Code::read_only) co_return synced.error();
  const std::shared_ptr<void> hold = engine.hold_space();
  VerifyOptions options;
  options.log = false;
  auto report = co_await verify(home, device, options, progress.get());
  if (!report) co_return report.error();
  std::vector<DamageRange> damage;
  for (const CheckDamage& found : report->damage) damage.push_back({found.volume, found.offset, found.length, found.kind});
  co_return damage;
}

}  // namespace

control::JobSteps check_steps(Runtime& home, Engine& engine, Device& device) {
  const auto progress = std::make_shared<VerifyProgress>();  // belongs to the home core
  control::JobSteps steps;
  steps.run = [&home, &engine, &device, progress] {
    return call_blocking(home, [&, progress] { return check(home, engine, device, progress); });
  };
  steps.progress = [&home, progress] {
    return ask_blocking(home, [progress] { return Engine::Progress{progress->done, progress->total, progress->stop}; });
  };
  steps.stop = [&home, progress] { ask_blocking(home, [progress] { return progress->stop = true; }); };
  return steps;
}

}  // namespace brindle::daemon
