// drawer_ops.cc: one operation at a time, and what it changes about what there will be.
#include <algorithm>

#include <fmt/format.h>

#include "sim/drawer.h"

namespace brindle::sim {

Op Drawer::any() {
  const bool faulty = profile(Profile::errors) || profile(Profile::damage);
  if (faulty && rng_.one_in(12)) return fault();
  if (!faulty && rng_.one_in(profile(Profile::nearly_full) || profile(Profile::full_host) ? 25 : 60)) {
    const u64 kind = rng_.below(profile(Profile::full_host) ? 10 : 6);
    if (kind >= 6) return {.kind = OpKind::fault_host_full};
    if (kind >= 4) return {.kind = OpKind::fault_slow_reads, .length = rng_.between(1, 3000) * 1'000'000, .stamp = rng_.between(1, 4)};
    if (kind == 0) return {.kind = OpKind::fault_stuck};
    if (kind == 1) return {.kind = OpKind::fault_slow, .length = rng_.between(1, 300) * 1'000'000, .stamp = rng_.between(1, 8)};
    return {.kind = OpKind::fault_passing, .stamp = rng_.below(2)};
  }
  const u64 kind = rng_.below(16);
  // A check begins a checkpoint, whatever walks are under way.
  if (storm_ && rng_.one_in(profile(Profile::deletions) ? 10 : 20)) return {.kind = OpKind::check};
  if (storm_ && rng_.one_in(3)) return command();
  if (kind < 8) return write();
  if (kind < 12) return ask();
  if (kind < 15) return command();
  return upkeep();
}

u64 Drawer::draw_size() {
  if (profile(Profile::tiny_cache) && !rng_.one_in(5)) return rng_.one_in(2) ? 64 * GiB : TiB;
  // Walks of many leaves.
  if (profile(Profile::deletions) && rng_.one_in(2)) return rng_.one_in(2) ? GiB : 64 * GiB;
  if (rng_.one_in(12)) return rng_.one_in(2) ? GiB : 8 * TiB;
  if (rng_.one_in(6)) return rng_.between(1, 12) * block_size;
  return rng_.between(1, blocks_max) * block_size;
}

void Drawer::range(Op& op) {
  const u64 size = size_of(op.name);
  const u64 blocks = size / block_size;
  // Places that are met again, the same ones in every volume: clones write where their origin does.
  const u64 places = blocks > 4096 ? places_of_large : profile(Profile::many_lanes) ? 3 : 6;
  u64 first = rng_.below(blocks);
  if (blocks > 4096 || !rng_.one_in(3)) {
    first = place(rng_.below(places), blocks);
    first = (first + rng_.below(profile(Profile::many_lanes) ? 2 : 4)) % blocks;
  }
  const u64 kind = rng_.below(16);
  if (kind < 8) {
    op.offset = first * block_size;
    op.length = rng_.between(1, kind < 5 ? 3 : 12) * block_size;
  } else if (kind < 12) {
    op.offset = first * block_size + rng_.below(block_size);
    op.length = rng_.between(1, 700);
  } else if (kind < 14) {
    op.offset = first * block_size + rng_.below(block_size);
    op.length = rng_.between(1, 20 * KiB);
  } else if (kind == 14 || !rng_.one_in(3)) {
    op.offset = first * block_size + (rng_.one_in(2) ? 0 : rng_.below(block_size));
    op.length = rng_.between(20 * KiB, part_bytes);
    if (rng_.one_in(8)) op.length = part_bytes;
  } else {
    op.offset = first * block_size + (rng_.one_in(2) ? 0 : rng_.below(block_size));
    op.length = rng_.between(part_bytes, 3 * part_bytes);
  }
  // A pool gets full by long writes.
  if (profile(Profile::nearly_full) && rng_.one_in(2)) op.length = rng_.between(20 * KiB, part_bytes);
  if (profile(Profile::full_host) && rng_.one_in(2)) op.length = rng_.between(20 * KiB, 4 * part_bytes);
  if (rng_.one_in(200)) return;  // beyond the end, perhaps
  op.offset = std::min(op.offset, size - 1);
  op.length = std::min(op.length, size - op.offset);
}

Op Drawer::write() {
  Op op{.kind = OpKind::write, .name = pick(list(true, false))};
  if (rng_.one_in(60)) op.name = pick(list(false, true));
  range(op);
  const u64 kind = rng_.below(16);
  if (kind == 0) op.kind = OpKind::zero;
  if (kind == 1) op.kind = OpKind::discard;
  if (kind <= 1 && rng_.one_in(2)) {  // long ones
    const u64 size = size_of(op.name);
    op.length = std::min(size - std::min(op.offset, size), rng_.one_in(3) ? size : rng_.between(1, 40) * 2 * MiB);
    op.length = std::max<u64>(op.length, 1);
  }
  op.stamp = ++stamp_;
  op.fua = rng_.one_in(8);
  op.flag = rng_.one_in(5);
  return op;
}

Op Drawer::ask() {
  Op op{.name = pick(list(true, true))};
  switch (rng_.below(profile(Profile::many_lanes) ? 24 : 15)) {
    case 0: op.kind = OpKind::frees; op.names = some(list(true, true), 4); op.flag = rng_.one_in(4); break;
    case 1: op.kind = OpKind::measure; break;
    case 2: op.kind = OpKind::extents; break;
    case 3: op.kind = OpKind::diff; op.names = {pick(list(true, true))}; break;
    case 4: op.kind = OpKind::list; break;
    case 5: op.kind = rng_.one_in(3) ? OpKind::scrub : OpKind::list; break;
    case 6: op.kind = rng_.one_in(3) ? OpKind::check : OpKind::extents; break;
    case 7: op.kind = OpKind::tidy; break;
    default:
      op.kind = OpKind::read;
      range(op);
      op.flag = rng_.one_in(5);
  }
  return op;
}

Op Drawer::create() {
  Op op{.kind = OpKind::create, .name = fmt::format("v{}", ++made_), .length = draw_size()};
  if (rng_.one_in(40)) op.name = rng_.one_in(2) ? "a b" : pick(list(true, false));
  if (rng_.one_in(60)) op.length += 17;
  if (op.name[0] == 'v') volumes_.try_emplace(op.name, Volume{op.length, {}, 0, false});
  op.flag = rng_.one_in(3);
  return op;
}

Op Drawer::command() {
  u64 kind = rng_.below(20);
  if (storm_ && rng_.one_in(2)) kind = rng_.one_in(3) ? 8 : rng_.one_in(4) ? 10 : 19;
  if (rng_.one_in(storm_ || profile(Profile::many_lanes) ? 10 : 60)) kind = 13;
  if (list(true, false).empty()) kind = 0;
  if (crowded() && kind < 10) kind = 19;
  if (kind <= 1) return create();
  if (kind <= 5) return snapshot();
  if (kind <= 9) return clone();
  if (kind <= 12) return rollback();
  if (kind == 13) return resize();
  if (kind == 14) return rename();
  if (kind == 15) return mark();
  return remove();
}

Op Drawer::snapshot() {
  Op op{.kind = OpKind::snapshot};
  for (const std::string& volume : some(list(true, false), rng_.one_in(3) ? 3 : 1)) {
    op.names.push_back(fmt::format("{}@s{}", volume, ++made_));
  }
  for (const std::string& name : op.names) {
    if (const auto at = volumes_.find(volume_of(name)); at != volumes_.end()) at->second.snapshots.insert(own_name(name));
  }
  op.flag = rng_.one_in(3);
  return op;
}

Op Drawer::clone() {
  Op op{.kind = OpKind::clone, .name = pick(list(true, true))};
  for (u64 i = rng_.one_in(storm_ ? 2 : 3) ? rng_.between(2, 4) : 1; i > 0; --i) op.names.push_back(fmt::format("c{}", ++made_));
  for (const std::string& name : op.names) volumes_[name] = Volume{size_of(op.name), {}, 0, false};
  return op;
}

Op Drawer::rollback() {
  Op op{.kind = OpKind::rollback, .flag = crowded() || rng_.one_in(2)};
  const u64 at_most = rng_.one_in(4) ? 2 : 1;
  op.names = some(list(false, true, rng_.one_in(10)), at_most);
  for (const std::string& name : op.names) {
    const auto at = volumes_.find(volume_of(name));
    if (at == volumes_.end() || at->second.deleted || op.flag) continue;
    at->second.snapshots.insert(fmt::format("before-rollback-{}", ++at->second.saved));
  }
  return op;
}

Op Drawer::resize() {
  Op op{.kind = OpKind::resize, .name = pick(list(true, false)), .length = draw_size(), .flag = !rng_.one_in(10)};
  // Often to an end amid what is just being written.
  const u64 blocks = size_of(op.name) / block_size;
  if (rng_.one_in(2)) {
    const u64 near = place(rng_.below(3), blocks);
    op.length = std::max<u64>(1, near + rng_.below(3)) * block_size;
  }
  if (const auto at = volumes_.find(op.name); at != volumes_.end()) at->second.size = op.length;
  return op;
}

Op Drawer::rename() {
  const std::string from = pick(list(true, true));
  if (from.find('@') != std::string::npos) {
    Op op{.kind = OpKind::rename, .name = from, .names = {fmt::format("{}@s{}", volume_of(from), ++made_)}};
    if (const auto at = volumes_.find(volume_of(from)); at != volumes_.end()) {
      at->second.snapshots.erase(own_name(from));
      at->second.snapshots.insert(own_name(op.names[0]));
    }
    return op;
  }
  Op op{.kind = OpKind::rename, .name = from, .names = {fmt::format("r{}", ++made_)}};
  if (auto node = volumes_.extract(from)) {
    node.key() = op.names[0];
    volumes_.insert(std::move(node));
  }
  return op;
}

/// A label, or a snapshot protected or not.
Op Drawer::mark() {
  Op op{.kind = rng_.one_in(2) ? OpKind::label : OpKind::protect, .name = pick(list(true, true))};
  if (op.kind == OpKind::protect && op.name.find('@') != std::string::npos) {
    op.flag = protected_.count(op.name) == 0;
    if (op.flag) protected_.insert(op.name); else protected_.erase(op.name);
  }
  op.stamp = rng_.below(5);
  return op;
}

Op Drawer::remove() {
  Op op{.kind = OpKind::remove, .flag = rng_.one_in(8)};
  auto left = list(true, true);
  std::erase_if(left, [&](const std::string& name) { return protected_.count(name) > 0 && !rng_.one_in(30); });
  op.names = some(left, crowded() || storm_ ? 4 : 2);
  for (const std::string& name : op.names) {
    const auto at = volumes_.find(volume_of(name));
    if (at == volumes_.end()) continue;
    if (name.find('@') == std::string::npos) {
      at->second.deleted = true;
      if (op.flag) at->second.snapshots.clear();
    } else {
      at->second.snapshots.erase(own_name(name));
    }
    if (at->second.deleted && at->second.snapshots.empty()) volumes_.erase(at);
  }
  return op;
}

Op Drawer::upkeep() {
  if (profile(Profile::deletions) && rng_.one_in(2)) return {.kind = OpKind::check};
  switch (rng_.below(8)) {
    case 0: case 1: case 2: return {.kind = OpKind::sync};
    case 3: case 4: return {.kind = OpKind::pause, .length = rng_.below(400) * 1'000'000};
    case 5: return {.kind = OpKind::pause, .length = rng_.below(9) * 1'000'000'000};
    case 6: return {.kind = OpKind::flush, .name = pick(list(true, false))};
    default:
      if (!rng_.one_in(6)) return {.kind = OpKind::pause, .length = rng_.below(100) * 1'000'000};
      history_grow_ += 4 * MiB;
      return {.kind = OpKind::grow, .length = history_.pool_size + history_grow_};
  }
}

Op Drawer::fault() {
  if (profile(Profile::damage) && !rng_.one_in(3)) {
    static constexpr OpKind kinds[] = {OpKind::fault_bad_block, OpKind::fault_lost, OpKind::fault_misdirected};
    return {.kind = kinds[rng_.below(std::size(kinds))], .stamp = rng_.next()};
  }
  const u64 kind = rng_.below(12);
  if (kind < 4) return {.kind = OpKind::fault_passing, .stamp = rng_.below(3)};
  if (kind == 4) return {.kind = OpKind::fault_reads, .stamp = rng_.between(2, 8)};
  if (kind < 7) return {.kind = OpKind::fault_host_full};
  if (kind < 9) return {.kind = OpKind::fault_slow, .length = rng_.between(1, 3000) * 1'000'000, .stamp = rng_.between(1, 8)};
  if (kind == 9) return {.kind = OpKind::fault_stuck};
  if (kind == 10) return {.kind = OpKind::fault_flush};
  return {.kind = OpKind::fault_writes, .stamp = rng_.between(2, 12)};
}

}  // namespace brindle::sim
