#include "sim/drawer.h"

#include <algorithm>

namespace brindle::sim {

Drawer::Drawer(const HistoryOptions& options) : rng_(options.seed) {
  history_.seed = options.seed;
  static constexpr Profile share[] = {Profile::plain,       Profile::plain,       Profile::plain,      Profile::many_lanes,
                                      Profile::many_lanes,  Profile::many_lanes,  Profile::tiny_cache, Profile::tiny_cache,
                                      Profile::nearly_full, Profile::nearly_full, Profile::full_host,  Profile::deletions,
                                      Profile::deletions,   Profile::deletions,   Profile::aging,      Profile::errors,
                                      Profile::damage};
  const u64 drawn = rng_.below(std::size(share));
  history_.profile = options.profile.value_or(share[drawn]);
  // Out of a generator of its own: whether there is staging memory changes nothing else about a history.
  Rng staging(options.seed + 0x57a6e);
  if (staging.one_in(3)) history_.staging = MiB << staging.below(3);
  // Likewise: the others meet the limit by long writes.
  wears_out_ = profile(Profile::nearly_full) && Rng(options.seed + 0x3ea2).one_in(2);
}

History Drawer::draw() {
  if (profile(Profile::deletions) || rng_.one_in(2)) history_.busy = u64{1} << rng_.between(1, 6);
  switch (history_.profile) {
    case Profile::nearly_full: history_.pool_size = rng_.between(12, 16) * MiB; break;
    case Profile::deletions:
      // Pages come and go, so that walks wait for them and checkpoints begin amid walks.
      if (!rng_.one_in(3)) history_.memory_max = 512 * KiB;
      break;
    case Profile::tiny_cache: history_.memory_max = rng_.one_in(2) ? 512 * KiB : MiB; break;
    case Profile::full_host: history_.pool_size = rng_.between(24, 48) * MiB; break;
    case Profile::aging: return draw_aging();
    default:
      if (rng_.one_in(4)) history_.memory_max = MiB;
      if (rng_.one_in(4)) history_.pool_size = 40 * MiB;
  }
  lanes_ = profile(Profile::many_lanes) || profile(Profile::full_host) ? rng_.between(4, 8) : rng_.one_in(3) ? 1 : rng_.between(2, 4);
  if (rng_.one_in(8)) lanes_ = 1;
  const u64 phases = rng_.between(6, 14);
  for (u64 phase = 0; phase < phases; ++phase) {
    if (phase == 0) {
      for (u64 i = rng_.between(1, 3); i > 0; --i) push(create());
      push({.kind = OpKind::settle});
      if (profile(Profile::nearly_full)) fill();
      if (profile(Profile::deletions) && !rng_.one_in(3)) spread();
    }
    u64 count = rng_.one_in(3) ? rng_.between(40, 90) : rng_.between(4, 30);
    if (profile(Profile::deletions) && rng_.one_in(3)) {
      retire();
      count = rng_.below(6);
    }
    storm_ = profile(Profile::deletions) ? !rng_.one_in(3) : rng_.one_in(8);
    if (profile(Profile::full_host) && rng_.one_in(3)) burst();
    if (profile(Profile::errors) && rng_.one_in(3)) misread();
    if (profile(Profile::errors) && !crowded() && rng_.one_in(10)) overtake();
    const bool wears = wears_out_ && !rng_.one_in(3);
    if (wears) wear();
    for (u64 i = 0; i < count; ++i) push(any());
    Op close = end(phase, phase + 1 == phases);
    // What compaction did is at stake until the next checkpoint is durable.
    if (wears && rng_.one_in(2)) close.moves = rng_.between(1, 8);
    push(std::move(close));
  }
  return std::move(history_);
}

void Drawer::push(Op op) {
  op.index = history_.ops.size();
  op.seed = Rng(history_.seed * 1'000'003 + op.index).next();
  if (!ends_phase(op.kind)) op.lane = lanes_ == 1 ? 0 : rng_.below(lanes_);
  history_.ops.push_back(std::move(op));
}

Op Drawer::end(u64 phase, bool last) {
  Op op;
  // What a deletion forgot is looked at again at the next opening: it shows only before.
  const u64 kind = profile(Profile::deletions) && rng_.one_in(4) ? 0 : rng_.below(12);
  op.kind = kind < 3 ? OpKind::settle : kind < 5 ? OpKind::reopen : kind < 7 ? OpKind::kill : OpKind::power_loss;
  if (last) op.kind = rng_.one_in(2) ? OpKind::settle : OpKind::power_loss;
  // Most of the time somewhere in the midst; short and long distances alike. Around flushes a checkpoint goes from one step to
  // the next: there most depends on what is on disk already.
  op.steps = rng_.one_in(5) ? ~u64{0} : rng_.below(u64{1} << rng_.between(2, 12));
  if (op.steps != ~u64{0} && rng_.one_in(2)) {
    op.flushes = 1 + rng_.below(u64{1} << rng_.between(0, 5));
    op.steps = rng_.below(u64{1} << rng_.between(0, 7));
  }
  op.cuts_recovery = op.kind >= OpKind::reopen && rng_.one_in(4);
  if (op.cuts_recovery) {
    op.recovery_steps = 1 + rng_.below(u64{1} << rng_.between(1, 8));
    if (rng_.one_in(2)) {
      op.recovery_flushes = rng_.between(1, 5);
      op.recovery_steps = 1 + rng_.below(u64{1} << rng_.between(0, 6));
    }
  }
  op.flag = op.kind != OpKind::settle && rng_.one_in(6);
  op.look = op.kind != OpKind::settle || rng_.one_in(2);
  op.count = rng_.one_in(profile(Profile::deletions) ? 2 : 3);
  // Not at once: where there is little yet, rot has little to hit, and often it is the end.
  if (profile(Profile::damage) && phase >= 2 && rng_.one_in(2)) op.flips = rng_.between(1, 3);
  if (last) op.look = op.count = true;
  return op;
}

size_t Drawer::entries() const {
  size_t count = 0;
  for (const auto& [name, volume] : volumes_) count += volume.snapshots.size() + (volume.deleted ? 0 : 1);
  return count;
}

std::vector<std::string> Drawer::list(bool of_volumes, bool of_snapshots, bool of_deleted) const {
  std::vector<std::string> out;
  for (const auto& [name, volume] : volumes_) {
    if (of_volumes && !volume.deleted) out.push_back(name);
    if (!of_snapshots || (volume.deleted && !of_deleted)) continue;
    for (const auto& own : volume.snapshots) out.push_back(name + "@" + own);
  }
  return out;
}

std::string Drawer::pick(const std::vector<std::string>& from) {
  if (from.empty() || rng_.one_in(60)) return "nobody";
  return from[rng_.below(from.size())];
}

std::vector<std::string> Drawer::some(const std::vector<std::string>& from, u64 at_most) {
  std::set<std::string> set;
  for (u64 i = rng_.between(1, at_most); i > 0; --i) set.insert(pick(from));
  std::vector<std::string> out(set.begin(), set.end());
  for (size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[rng_.below(i)]);
  return out;
}

u64 Drawer::size_of(const std::string& name) {
  const auto at = volumes_.find(volume_of(name));
  return at == volumes_.end() || at->second.size == 0 ? 16 * block_size : at->second.size;
}

u64 Drawer::place(u64 number, u64 blocks) const { return Rng(history_.seed + number).next() % blocks; }

History draw_history(const HistoryOptions& options) { return Drawer(options).draw(); }

}  // namespace brindle::sim
