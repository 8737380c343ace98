// drawer_scenes.cc: series of operations that chance alone would hardly bring together.
#include <algorithm>

#include <fmt/format.h>

#include "sim/drawer.h"

namespace brindle::sim {

void Drawer::fill() {
  const u64 room = history_.pool_size - 5 * MiB;
  const Op make{.kind = OpKind::create, .name = fmt::format("v{}", ++made_), .length = room};
  volumes_[make.name] = Volume{room, {}, 0, false};
  filler_ = make.name;
  push(make);
  push({.kind = OpKind::settle});
  const u64 end = room / 100 * rng_.between(60, 95);
  // In order; or in short pieces anywhere, as a volume has become after a while.
  const bool scattered = wears_out_ && rng_.one_in(2);
  std::vector<std::pair<u64, u64>> pieces;  // offset, length
  for (u64 at = 0; at < end; at += pieces.back().second) {
    pieces.push_back({at, std::min(scattered ? rng_.between(1, 12) * block_size : part_bytes, end - at)});
  }
  for (size_t i = scattered ? pieces.size() : 0; i > 1; --i) std::swap(pieces[i - 1], pieces[rng_.below(i)]);
  for (const auto& [offset, length] : pieces) {
    push({.kind = OpKind::write, .name = make.name, .offset = offset, .length = length, .stamp = ++stamp_});
  }
  push({.kind = OpKind::settle, .count = true});
}

void Drawer::wear() {
  const u64 blocks = std::max<u64>(3, size_of(filler_) / block_size);
  const bool gives_back = rng_.one_in(2);
  const u64 syncs = rng_.between(20, 150);
  for (u64 i = rng_.between(50, 500); i > 0; --i) {
    Op op{.kind = OpKind::write, .name = filler_, .length = rng_.between(1, 2) * block_size, .stamp = ++stamp_};
    op.offset = rng_.below(blocks - 1) * block_size;
    if (rng_.one_in(12)) op.kind = OpKind::read;
    if (gives_back && rng_.one_in(100)) {
      op.kind = OpKind::discard;
      op.length = std::min(rng_.between(1, 300), blocks) * block_size;
      op.offset = rng_.below(blocks - op.length / block_size + 1) * block_size;
    }
    push(op);
    // While a checkpoint is under way, or somebody reads, compaction has to look where it writes.
    if (rng_.one_in(100)) push({.kind = OpKind::fault_slow_reads, .length = rng_.between(1, 50) * 1'000'000, .stamp = rng_.between(1, 8)});
    if (!rng_.one_in(syncs)) continue;
    push({.kind = OpKind::sync});
    push({.kind = OpKind::fault_slow, .length = rng_.between(1, 50) * 1'000'000, .stamp = rng_.between(1, 20)});
  }
}

void Drawer::burst() {
  if (rng_.one_in(2)) push({.kind = OpKind::fault_host_full});
  for (u64 i = rng_.between(6, 16); i > 0; --i) {
    Op op{.kind = OpKind::write, .name = pick(list(true, false))};
    const u64 size = size_of(op.name);
    op.length = std::min(size, rng_.between(2, 6) * part_bytes);
    op.offset = rng_.below((size - op.length) / block_size + 1) * block_size;
    op.stamp = ++stamp_;
    push(op);
  }
}

void Drawer::misread() {
  push({.kind = OpKind::reopen});
  for (u64 i = rng_.between(1, 6); i > 0; --i) {
    Op op{.kind = OpKind::write, .name = pick(list(true, false))};
    const u64 blocks = size_of(op.name) / block_size;
    op.length = block_size;
    op.offset = place(rng_.below(6), blocks) * block_size;
    op.stamp = ++stamp_;
    push(op);
  }
  push({.kind = OpKind::settle});
  // Or one that gives up, and is forgotten: what is owed is to outlive that.
  const bool lasts = rng_.one_in(3);
  push({.kind = OpKind::fault_reads, .stamp = lasts ? u64{4000} : rng_.between(2, 8)});
  push({.kind = OpKind::sync});
  if (!lasts) return;
  Op end{.kind = rng_.one_in(2) ? OpKind::kill : OpKind::power_loss, .count = true};
  end.steps = ~u64{0};
  push(end);
}

void Drawer::spread() {
  const Op make{.kind = OpKind::create, .name = fmt::format("v{}", ++made_), .length = 64 * GiB};
  volumes_[make.name] = Volume{make.length, {}, 0, false};
  push(make);
  push({.kind = OpKind::settle});
  for (u64 rounds = rng_.between(1, 4); rounds > 0; --rounds) {
    write_places(make.name, 3);
    push({.kind = OpKind::settle, .count = true});
    const std::string own = fmt::format("s{}", ++made_);
    if (rounds == 1) break;
    push({.kind = OpKind::snapshot, .names = {make.name + "@" + own}});
    volumes_[make.name].snapshots.insert(own);
  }
  if (rng_.one_in(2)) return;
  Op clones{.kind = OpKind::clone, .name = pick(list(true, true))};
  for (u64 i = 0; i < 3; ++i) clones.names.push_back(fmt::format("c{}", ++made_));
  for (const std::string& name : clones.names) volumes_[name] = Volume{size_of(clones.name), {}, 0, false};
  push(clones);
  push({.kind = OpKind::settle});
  for (size_t i = 1; i < clones.names.size(); ++i) write_places(clones.names[i], 2);
  push({.kind = OpKind::settle, .count = true});
}

void Drawer::overtake() {
  const Op make{.kind = OpKind::create, .name = fmt::format("v{}", ++made_), .length = 64 * GiB};
  Volume& volume = volumes_[make.name] = Volume{make.length, {}, 0, false};
  push(make);
  std::vector<std::string> snapshots;
  for (u64 i = rng_.between(2, 4); i > 0; --i) {
    push({.kind = OpKind::settle});
    write_places(make.name, 3);
    const std::string own = fmt::format("s{}", ++made_);
    volume.snapshots.insert(own);
    snapshots.push_back(make.name + "@" + own);
    push({.kind = OpKind::snapshot, .names = {snapshots.back()}});
  }
  push({.kind = OpKind::settle});
  write_places(make.name, 2);
  push({.kind = OpKind::reopen});
  // Each is the child of the one before.
  for (const std::string& name : snapshots) {
    push({.kind = OpKind::fault_reads, .stamp = rng_.between(1, 4)});
    push({.kind = OpKind::remove, .names = {name}});
    volume.snapshots.erase(own_name(name));
    if (rng_.one_in(2)) push({.kind = OpKind::pause, .length = rng_.below(400'000)});
  }
  push({.kind = OpKind::fault_reads, .stamp = rng_.between(1, 4)});
  push({.kind = OpKind::settle, .steps = ~u64{0}, .count = true});
}

void Drawer::write_places(const std::string& volume, u64 all_but_one_in) {
  for (u64 i = 0; i < places_of_large; ++i) {
    if (rng_.one_in(all_but_one_in)) continue;
    Op op{.kind = OpKind::write, .name = volume, .length = rng_.between(1, 2) * block_size, .stamp = ++stamp_};
    op.offset = place(i, size_of(volume) / block_size) * block_size;
    push(op);
  }
}

void Drawer::retire() {
  Op op{.kind = OpKind::remove};
  const auto with = list(true, false);
  const std::string volume = pick(with);
  const auto at = volumes_.find(volume);
  if (at != volumes_.end()) {
    for (u64 i = at->second.snapshots.size(); i < 3 && entries() < entries_max; ++i) {
      const std::string more = fmt::format("s{}", ++made_);
      push({.kind = OpKind::snapshot, .names = {volume + "@" + more}});
      at->second.snapshots.insert(more);
      push({.kind = OpKind::settle});
      write_places(volume, 3);
    }
    push({.kind = OpKind::settle});
    std::vector<std::string> own(at->second.snapshots.begin(), at->second.snapshots.end());
    std::sort(own.begin(), own.end(), [](const auto& a, const auto& b) { return std::pair(a.size(), a) < std::pair(b.size(), b); });
    const size_t first = own.empty() ? 0 : rng_.below(own.size());
    for (size_t i = first; i < std::min(own.size(), first + rng_.between(1, 4)); ++i) {
      if (protected_.count(volume + "@" + own[i]) > 0) continue;
      op.names.push_back(volume + "@" + own[i]);
      at->second.snapshots.erase(own[i]);
    }
  }
  if (op.names.empty()) return;
  for (size_t i = op.names.size(); i > 1; --i) std::swap(op.names[i - 1], op.names[rng_.below(i)]);
  push(std::move(op));
  for (u64 i = rng_.between(1, 3); i > 0; --i) push({.kind = OpKind::check});
}

History Drawer::draw_aging() {
  const u64 blocks = rng_.between(400, 1400);
  lanes_ = rng_.between(1, 3);
  Op make{.kind = OpKind::create, .name = "v1", .length = blocks * block_size};
  push(make);
  push({.kind = OpKind::settle});
  for (u64 at = 0; at < blocks; at += 64) {
    const u64 count = std::min<u64>(64, blocks - at);
    Op op{.kind = OpKind::write, .name = "v1", .offset = at * block_size, .length = count * block_size};
    op.stamp = ++stamp_;
    push(op);
  }
  push({.kind = OpKind::settle});
  std::vector<std::string> kept;
  const u64 keep = rng_.between(2, 8);
  const u64 rounds = rng_.between(12, 24);
  const u64 writes = rng_.between(10, 60);
  for (u64 round = 0; round < rounds; ++round) {
    for (u64 i = 0; i < writes; ++i) {
      Op op{.kind = OpKind::write, .name = "v1", .offset = rng_.below(blocks) * block_size, .length = block_size};
      op.stamp = ++stamp_;
      push(op);
    }
    kept.push_back(fmt::format("v1@s{}", ++made_));
    push({.kind = OpKind::snapshot, .names = {kept.back()}});
    while (kept.size() > keep) {
      const size_t gone = rng_.one_in(3) ? rng_.below(kept.size()) : 0;
      push({.kind = OpKind::remove, .names = {kept[gone]}});
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(gone));
    }
    if (rng_.one_in(4)) push({.kind = OpKind::pause, .length = rng_.below(6) * 1'000'000'000});
    Op done{.kind = OpKind::settle, .steps = ~u64{0}, .look = rng_.one_in(4), .count = rng_.one_in(2)};
    if (rng_.one_in(6)) {
      done.kind = OpKind::power_loss;
      done.steps = rng_.below(4000);
    }
    if (round + 1 == rounds) done.look = done.count = true;
    push(done);
  }
  return std::move(history_);
}

}  // namespace brindle::sim
