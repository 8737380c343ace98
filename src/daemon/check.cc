#include "daemon/check.h"

#include "check/verify.h"
#include "runtime/remote.h"

namespace brindle {

namespace {

Task<Result<std::vector<DamageRange>>> check_pool(Engine& engine, Device& device, Runtime& home,
                                                  std::shared_ptr<VerifyProgress> progress) {
  auto hold = co_await engine.hold_checkpoint();
  if (!hold) co_return hold.error();
  const VerifyOptions options{.log = false};
  Engine::Hold& held = **hold;
  progress->gives_way = [&held] { return held.in_the_way(); };
  auto report = co_await verify(home, device, options, progress.get());
  progress->gives_way = {};
  if (!report && held.in_the_way()) {
    co_return Error{Code::cancelled,
                    "the pool is full, and writes waited for the space that a check keeps: free some, and check again"};
  }
  if (!report) co_return report.error();
  std::vector<DamageRange> damage;
  for (CheckDamage& one : report->damage) {
    damage.push_back({std::move(one.volume), one.offset, one.length, std::move(one.kind)});
  }
  co_return damage;
}

}  // namespace

control::JobSteps check_steps(Engine& engine, Device& device, Runtime& home) {
  const auto progress = std::make_shared<VerifyProgress>();  // belongs to the home core
  control::JobSteps steps;
  steps.run = [&engine, &device, &home, progress] {
    return call_blocking(home, [&engine, &device, &home, progress] { return check_pool(engine, device, home, progress); });
  };
  steps.progress = [&home, progress] {
    return ask_blocking(home, [progress] { return Engine::Progress{progress->done, progress->total, progress->stop}; });
  };
  steps.stop = [&home, progress] { ask_blocking(home, [progress] { return progress->stop = true; }); };
  return steps;
}

}  // namespace brindle
