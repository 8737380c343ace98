#include "sim/history.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace brindle::sim {

namespace {

constexpr std::string_view profile_names[] = {"plain",     "many lanes", "tiny cache", "nearly full", "full host",
                                              "deletions", "aging",      "errors",     "damage"};
constexpr std::string_view op_names[] = {
    "read",   "write",  "zero",   "discard", "flush",   "create", "snapshot",  "clone", "rollback",
    "resize", "rename", "label",  "protect", "remove",  "frees",  "measure",   "extents", "diff",
    "list",   "sync",   "scrub",  "check",   "tidy",   "grow",    "pause",  "fault: a call fails once",
    "fault: reads fail", "fault: writes fail", "fault: a flush fails", "fault: the host is full, or no more", "fault: slow calls", "fault: slow reads",
    "fault: a stuck call", "fault: a bad block", "fault: a lost write", "fault: a misdirected write",
    "settle", "reopen", "kill", "power loss"};

constexpr size_t entries_max = 22;
constexpr u64 places_of_large = 40;  // of a volume of many leaves
constexpr u64 blocks_max = 1400;  // of an ordinary volume: a little less than three leaves

struct Volume {
  u64 size = 0;
  std::set<std::string> snapshots;  // own names
  u64 saved = 0;
  bool deleted = false;
};

/// Draws operations against its own idea of what there will be. Where the play goes another way (an operation fails, a
/// power loss takes a volume back), names lead nowhere, and that is played as well.
class Drawer {
 public:
  explicit Drawer(const HistoryOptions& options) : rng_(options.seed) {
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
  }

  History draw() {
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
      for (u64 i = 0; i < count; ++i) push(any());
      push(end(phase, phase + 1 == phases));
    }
    return std::move(history_);
  }

 private:
  bool profile(Profile which) const { return history_.profile == which; }

  void push(Op op) {
    op.index = history_.ops.size();
    op.seed = Rng(history_.seed * 1'000'003 + op.index).next();
    if (!ends_phase(op.kind)) op.lane = lanes_ == 1 ? 0 : rng_.below(lanes_);
    history_.ops.push_back(std::move(op));
  }

  /// Most of what a small pool can hold, so that what follows meets its limit.
  void fill() {
    const u64 room = history_.pool_size - 5 * MiB;
    const Op make{.kind = OpKind::create, .name = fmt::format("v{}", ++made_), .length = room};
    volumes_[make.name] = Volume{room, {}, 0, false};
    push(make);
    push({.kind = OpKind::settle});
    const u64 end = room / 100 * rng_.between(60, 95);
    for (u64 at = 0; at < end; at += part_bytes) {
      push({.kind = OpKind::write,
            .name = make.name,
            .offset = at,
            .length = std::min(part_bytes, end - at),
            .stamp = ++stamp_});
    }
    push({.kind = OpKind::settle, .count = true});
  }

  /// Long writes of all lanes at once, on a host that may just have become full.
  void burst() {
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

  /// Short writes over leaves that are not in memory after an opening (which looks at nothing), and a checkpoint that has to
  /// read them then.
  void misread() {
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

  /// A volume with blocks in many leaves, and snapshots of it that differ in many: walks over them take their time.
  void spread() {
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
  void write_places(const std::string& volume, u64 all_but_one_in) {
    for (u64 i = 0; i < places_of_large; ++i) {
      if (rng_.one_in(all_but_one_in)) continue;
      Op op{.kind = OpKind::write, .name = volume, .length = rng_.between(1, 2) * block_size, .stamp = ++stamp_};
      op.offset = place(i, size_of(volume) / block_size) * block_size;
      push(op);
    }
  }

  /// Neighbours among the snapshots of a volume go, and a checkpoint begins; then comes the end, wherever the walks are.
  void retire() {
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

  // --- names

  size_t entries() const {
    size_t count = 0;
    for (const auto& [name, volume] : volumes_) count += volume.snapshots.size() + (volume.deleted ? 0 : 1);
    return count;
  }
  std::vector<std::string> list(bool of_volumes, bool of_snapshots, bool of_deleted = true) const {
    std::vector<std::string> out;
    for (const auto& [name, volume] : volumes_) {
      if (of_volumes && !volume.deleted) out.push_back(name);
      if (!of_snapshots || (volume.deleted && !of_deleted)) continue;
      for (const auto& own : volume.snapshots) out.push_back(name + "@" + own);
    }
    return out;
  }
  std::string pick(const std::vector<std::string>& from) {
    if (from.empty() || rng_.one_in(60)) return "nobody";
    return from[rng_.below(from.size())];
  }
  static std::string volume_of(const std::string& name) { return name.substr(0, name.find('@')); }
  u64 size_of(const std::string& name) {
    const auto at = volumes_.find(volume_of(name));
    return at == volumes_.end() || at->second.size == 0 ? 16 * block_size : at->second.size;
  }
  u64 draw_size() {
    if (profile(Profile::tiny_cache) && !rng_.one_in(5)) return rng_.one_in(2) ? 64 * GiB : TiB;
    // Walks of many leaves.
    if (profile(Profile::deletions) && rng_.one_in(2)) return rng_.one_in(2) ? GiB : 64 * GiB;
    if (rng_.one_in(12)) return rng_.one_in(2) ? GiB : 8 * TiB;
    if (rng_.one_in(6)) return rng_.between(1, 12) * block_size;
    return rng_.between(1, blocks_max) * block_size;
  }

  // --- reading and writing

  u64 place(u64 number, u64 blocks) const { return Rng(history_.seed + number).next() % blocks; }

  void range(Op& op) {
    const u64 size = size_of(op.name);
    const u64 blocks = size / block_size;
    // Places that are met again, the same ones in every volume: clones write where their origin does.
    const u64 places = blocks > 4096 ? places_of_large : profile(Profile::many_lanes) ? 3 : 6;
    u64 first = rng_.below(blocks);
    if (blocks > 4096 || !rng_.one_in(3)) {
      first = (place(rng_.below(places), blocks) + rng_.below(profile(Profile::many_lanes) ? 2 : 4)) % blocks;
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

  Op write() {
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

  Op ask() {
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

  // --- commands

  std::vector<std::string> some(const std::vector<std::string>& from, u64 at_most) {
    std::set<std::string> set;
    for (u64 i = rng_.between(1, at_most); i > 0; --i) set.insert(pick(from));
    std::vector<std::string> out(set.begin(), set.end());
    for (size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[rng_.below(i)]);
    return out;
  }

  Op create() {
    Op op{.kind = OpKind::create, .name = fmt::format("v{}", ++made_), .length = draw_size()};
    if (rng_.one_in(40)) op.name = rng_.one_in(2) ? "a b" : pick(list(true, false));
    if (rng_.one_in(60)) op.length += 17;
    if (op.name[0] == 'v') volumes_.try_emplace(op.name, Volume{op.length, {}, 0, false});
    op.flag = rng_.one_in(3);
    return op;
  }

  Op command() {
    const bool many = entries() >= entries_max;
    const auto there = list(true, false);
    u64 kind = rng_.below(20);
    if (storm_ && rng_.one_in(2)) kind = rng_.one_in(3) ? 8 : rng_.one_in(4) ? 10 : 19;
    if (rng_.one_in(storm_ || profile(Profile::many_lanes) ? 10 : 60)) kind = 13;
    if (there.empty()) kind = 0;
    if (many && kind < 10) kind = 19;
    if (kind <= 1) return create();
    if (kind <= 5) {
      Op op{.kind = OpKind::snapshot};
      for (const std::string& volume : some(there, rng_.one_in(3) ? 3 : 1)) op.names.push_back(fmt::format("{}@s{}", volume, ++made_));
      for (const std::string& name : op.names) {
        if (const auto at = volumes_.find(volume_of(name)); at != volumes_.end()) at->second.snapshots.insert(name.substr(name.find('@') + 1));
      }
      op.flag = rng_.one_in(3);
      return op;
    }
    if (kind <= 9) {
      Op op{.kind = OpKind::clone, .name = pick(list(true, true))};
      for (u64 i = rng_.one_in(storm_ ? 2 : 3) ? rng_.between(2, 4) : 1; i > 0; --i) op.names.push_back(fmt::format("c{}", ++made_));
      for (const std::string& name : op.names) volumes_[name] = Volume{size_of(op.name), {}, 0, false};
      return op;
    }
    if (kind <= 12) {
      Op op{.kind = OpKind::rollback, .flag = many || rng_.one_in(2)};
      op.names = some(list(false, true, rng_.one_in(10)), rng_.one_in(4) ? 2 : 1);
      for (const std::string& name : op.names) {
        const auto at = volumes_.find(volume_of(name));
        if (at == volumes_.end() || at->second.deleted || op.flag) continue;
        at->second.snapshots.insert(fmt::format("before-rollback-{}", ++at->second.saved));
      }
      return op;
    }
    if (kind == 13) {
      Op op{.kind = OpKind::resize, .name = pick(there), .length = draw_size(), .flag = !rng_.one_in(10)};
      // Often to an end amid what is just being written.
      const u64 blocks = size_of(op.name) / block_size;
      if (rng_.one_in(2)) op.length = std::max<u64>(1, place(rng_.below(3), blocks) + rng_.below(3)) * block_size;
      if (const auto at = volumes_.find(op.name); at != volumes_.end()) at->second.size = op.length;
      return op;
    }
    if (kind == 14) {
      const std::string from = pick(list(true, true));
      if (from.find('@') != std::string::npos) {
        Op op{.kind = OpKind::rename, .name = from, .names = {fmt::format("{}@s{}", volume_of(from), ++made_)}};
        if (const auto at = volumes_.find(volume_of(from)); at != volumes_.end()) {
          at->second.snapshots.erase(from.substr(from.find('@') + 1));
          at->second.snapshots.insert(op.names[0].substr(op.names[0].find('@') + 1));
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
    if (kind == 15) {
      Op op{.kind = rng_.one_in(2) ? OpKind::label : OpKind::protect, .name = pick(list(true, true))};
      if (op.kind == OpKind::protect && op.name.find('@') != std::string::npos) {
        op.flag = protected_.count(op.name) == 0;
        if (op.flag) protected_.insert(op.name); else protected_.erase(op.name);
      }
      op.stamp = rng_.below(5);
      return op;
    }
    Op op{.kind = OpKind::remove, .flag = rng_.one_in(8)};
    auto left = list(true, true);
    std::erase_if(left, [&](const std::string& name) { return protected_.count(name) > 0 && !rng_.one_in(30); });
    op.names = some(left, many || storm_ ? 4 : 2);
    for (const std::string& name : op.names) {
      const auto at = volumes_.find(volume_of(name));
      if (at == volumes_.end()) continue;
      if (name.find('@') == std::string::npos) {
        at->second.deleted = true;
        if (op.flag) at->second.snapshots.clear();
      } else {
        at->second.snapshots.erase(name.substr(name.find('@') + 1));
      }
      if (at->second.deleted && at->second.snapshots.empty()) volumes_.erase(at);
    }
    return op;
  }

  Op upkeep() {
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

  Op fault() {
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

  Op any() {
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

  Op end(u64 phase, bool last) {
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

  /// One volume that is overwritten at random, a snapshot every so often, the oldest going: for as long as there is time.
  History draw_aging() {
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

  History history_;
  Rng rng_;
  std::map<std::string, Volume> volumes_;
  std::set<std::string> protected_;
  u64 lanes_ = 1;
  u64 stamp_ = 0;
  u64 made_ = 0;
  u64 history_grow_ = 0;
  bool storm_ = false;
};

}  // namespace

std::string_view profile_name(Profile profile) { return profile_names[static_cast<size_t>(profile)]; }
std::string_view op_name(OpKind kind) { return op_names[static_cast<size_t>(kind)]; }

std::string text(const Op& op) {
  if (ends_phase(op.kind)) {
    std::string out = fmt::format("{:4}  -- {}", op.index, op_name(op.kind));
    const auto after = [](u64 flushes, u64 steps) {
      return flushes > 0 ? fmt::format(" after {} flushes and {} steps", flushes, steps) : fmt::format(" after {} steps", steps);
    };
    if (op.kind >= OpKind::kill) out += op.steps == ~u64{0} ? ", when all is done" : after(op.flushes, op.steps);
    if (op.cuts_recovery) out += ", the recovery cut short" + after(op.recovery_flushes, op.recovery_steps);
    if (op.flag) out += ", opened read-only first";
    if (op.flips > 0) out += fmt::format(", {} bits rot", op.flips);
    return out;
  }
  std::string out = fmt::format("{:4}  {}: {}", op.index, op.lane, op_name(op.kind));
  if (!op.name.empty() && !is_fault(op.kind)) out += " " + op.name;
  if (!op.names.empty()) out += fmt::format(" {}", fmt::join(op.names, " "));
  switch (op.kind) {
    case OpKind::read: case OpKind::write: case OpKind::zero: case OpKind::discard:
      out += fmt::format(" {} + {}{}{}", op.offset, op.length, op.fua ? " fua" : "", op.flag ? ", by the handle held" : "");
      break;
    case OpKind::create: case OpKind::resize: case OpKind::grow: out += fmt::format(" {}", op.length); break;
    case OpKind::pause: case OpKind::fault_slow: case OpKind::fault_slow_reads: out += fmt::format(" {} ms", op.length / 1'000'000); break;
    case OpKind::rollback: out += op.flag ? " discard" : ""; break;
    case OpKind::protect: out += op.flag ? " on" : " off"; break;
    case OpKind::remove: case OpKind::frees: out += op.flag ? " with snapshots" : ""; break;
    default: break;
  }
  return out;
}

History draw_history(const HistoryOptions& options) { return Drawer(options).draw(); }

History keep_only(const History& history, const std::vector<u64>& keep) {
  History out = history;
  out.ops.clear();
  for (const Op& op : history.ops) {
    if (std::binary_search(keep.begin(), keep.end(), op.index)) out.ops.push_back(op);
  }
  if (out.ops.empty() || !ends_phase(out.ops.back().kind)) {
    out.ops.push_back({.kind = OpKind::settle, .index = history.ops.size(), .look = true, .count = true, .seed = history.seed});
  }
  return out;
}

std::string keep_text(const std::vector<u64>& keep) {
  std::string out;
  for (size_t i = 0; i < keep.size();) {
    size_t end = i + 1;
    while (end < keep.size() && keep[end] == keep[end - 1] + 1) ++end;
    if (!out.empty()) out += ",";
    out += end == i + 1 ? fmt::format("{}", keep[i]) : fmt::format("{}-{}", keep[i], keep[end - 1]);
    i = end;
  }
  return out;
}

std::optional<std::vector<u64>> parse_keep(std::string_view text) {
  constexpr u64 items_max = 100'000;
  std::vector<u64> keep;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    u64 first = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc()) return std::nullopt;
    u64 last = first;
    if (read.ptr != end && *read.ptr == '-') {
      read = std::from_chars(read.ptr + 1, end, last);
      if (read.ec != std::errc()) return std::nullopt;
    }
    if (last < first || last >= items_max || (!keep.empty() && first <= keep.back())) return std::nullopt;
    for (; first <= last; ++first) keep.push_back(first);
    at = read.ptr;
    if (at == end) break;
    if (*at != ',' || ++at == end) return std::nullopt;
  }
  return keep;
}

}  // namespace brindle::sim
