#include "crash/explorer.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

namespace brindle::crash {

char under_way[512];

namespace {

bool chosen(u64 hash, u64 one_in) { return one_in != 0 && mix(hash, one_in) % one_in == 0; }

}  // namespace

Explorer::Explorer(const Start& start, Seen& seen, Tally& tally, Options options)
    : start_(start), seen_(seen), tally_(tally), options_(std::move(options)) {}

void Explorer::fail(const std::string& why, const States* states) {
  ++tally_.failures;
  std::string text = fmt::format("FAILED: workload \"{}\"", name_);
  if (!place_.empty()) text += fmt::format(", state {}", place_);
  text += fmt::format(": {}\n", why);
  if (states != nullptr) text += states->describe();
  text += fmt::format("  again with: crash --workload \"{}\"{}{}\n", name_, place_.empty() ? "" : " --state " + place_,
                      options_.repeat);
  std::fputs(text.c_str(), stderr);
}

void Explorer::explore(const std::vector<const Operation*>& operations) {
  name_.clear();
  for (const Operation* operation : operations) name_ += (name_.empty() ? "" : ",") + std::string(operation->name);
  place_.clear();
  fmt::format_to_n(under_way, sizeof under_way - 1, "workload \"{}\"\n{}", name_, '\0');
  shelf_.clear();
  Workload workload(start_, shelf_);
  bool sensible = true;
  for (const Operation* operation : operations) sensible = sensible && workload.play(*operation);
  if (sensible) workload.finish();
  if (!workload.failure().empty()) return fail(workload.failure(), nullptr);
  if (!sensible) {
    workload.finish();
    ++tally_.left_out;
    return;
  }
  ++tally_.workloads;

  States states(start_.image, workload.history(), workload.last_began(), shelf_);
  const std::string wanted = options_.only.substr(0, options_.only.find('/'));
  const std::vector<Moment>& moments = workload.moments();
  states.each([&](const CrashState& state) {
    place_ = fmt::format("{}.{}", state.point, state.choice);
    if (!wanted.empty() && wanted != place_) return true;
    ++tally_.states;
    const size_t oldest = state.process ? state.bounds.known : state.bounds.durable;
    const size_t newest = state.bounds.newest;
    const auto allowed = std::span(moments).subspan(oldest, newest - oldest + 1);
    const u64 content = content_of_state(states, state, allowed);
    if (!wanted.empty()) std::fprintf(stderr, "state %s:\n%s", place_.c_str(), states.describe().c_str());
    const auto is_it = [&](const Moment& moment) { return moment.content == content; };
    if (content == Seen::failed || std::any_of(allowed.begin(), allowed.end(), is_it)) return true;
    const auto other = std::find_if(moments.begin(), moments.end(), is_it);
    fail(fmt::format("after {} the pool is at {}, and must be at one of {} to {}",
                     state.process ? "the death of the process" : "a power loss",
                     other == moments.end() ? std::string("no moment that it ever passed through")
                                            : fmt::format("moment {}", other - moments.begin()),
                     oldest, newest),
         &states);
    return tally_.failures < failures_max;
  });
  tally_.bounded += states.bounded();
}

u64 Explorer::content_of_state(const States& states, const CrashState& state, std::span<const Moment> moments) {
  if (options_.only.empty()) {
    if (const auto known = seen_.find(state.hash)) return *known;
  }
  if (seen_.claim(state.hash)) ++tally_.distinct;
  fmt::format_to_n(under_way, sizeof under_way - 1, "workload \"{}\" --state {}\n{}", name_, place_, '\0');
  const Image image = states.image();
  const bool thorough = chosen(state.hash, options_.thorough_one_in);
  const Verdict verdict = judge(image, {thorough, start_.used_when_empty, moments});
  if (thorough) ++tally_.thorough;
  u64 content = verdict.content;
  if (!verdict.failure.empty()) {
    fail(verdict.failure, &states);
    content = Seen::failed;
  }
  seen_.settle(state.hash, content);
  if (content != Seen::failed && chosen(state.hash ^ 1, options_.again_one_in)) crash_again(image, content);
  return content;
}

void Explorer::crash_again(const Image& image, u64 content) {
  ++tally_.again;
  again_shelf_.clear();
  History history;
  history.events.push_back({EventKind::begun});
  FairRuntime runtime;
  Image disk = image;
  Image grave = image;
  Recorder device(runtime, disk, again_shelf_, &history);
  auto engine = std::make_unique<EngineCore>(runtime, device, EngineOptions{.memory_max = memory_max});
  static_cast<void>(runtime.run(engine->open()));  // it could be opened a moment ago
  history.events.push_back({EventKind::ended});
  grave = disk;
  device.die(grave);
  static_cast<void>(runtime.run(engine->close()));
  engine.reset();

  const std::string first = place_;
  const size_t slash = options_.only.find('/');
  const std::string wanted = slash == std::string::npos ? "" : options_.only.substr(slash + 1);
  States states(image, history, 0, again_shelf_);
  states.each([&](const CrashState& state) {
    const std::string second = fmt::format("{}.{}", state.point, state.choice);
    if (!wanted.empty() && wanted != second) return true;
    place_ = first + "/" + second;
    ++tally_.states;
    const auto known = options_.only.empty() ? seen_.find(state.hash) : std::nullopt;
    u64 found = known.value_or(0);
    if (!known) {
      if (seen_.claim(state.hash)) ++tally_.distinct;
      const Verdict verdict = judge(states.image(), {});
      found = verdict.content;
      if (!verdict.failure.empty()) {
        fail("a second crash, while the first was recovered from: " + verdict.failure, &states);
        found = Seen::failed;
      }
      seen_.settle(state.hash, found);
    }
    if (found != Seen::failed && found != content) {
      fail("a second crash, while the first was recovered from, leaves something else than the first alone", &states);
    }
    return tally_.failures < failures_max;
  });
  place_ = first;
}

}  // namespace brindle::crash
