#include "crash/states.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace brindle::crash {

States::States(const Image& start, const History& history, size_t first_event, Shelf& shelf)
    : history_(history), first_event_(first_event), shelf_(shelf), base_(start), base_hash_(start.hash()) {}

// --- walking --------------------------------------------------------------------------------------------------------

void States::take(const Event& event) {
  const auto find = [&] {
    return std::find_if(pending_.begin(), pending_.end(), [&](const Pending& one) { return one.number == event.number; });
  };
  switch (event.kind) {
    case EventKind::asked: pending_.push_back({event.number, &history_.changes[event.number], false, false, {}}); break;
    case EventKind::completed: find()->completed = true; break;
    case EventKind::durable: find()->durable = true; break;
    case EventKind::gone: pending_.erase(find()); break;
    case EventKind::begun:
    case EventKind::ended: bounds_ = event; break;
  }
  fold();
}

/// What is durable, and everything before it too, belongs to the disk for good.
void States::fold() {
  size_t count = 0;
  while (count < pending_.size() && pending_[count].durable) {
    const DiskChange& change = *pending_[count++].change;
    for (size_t i = 0; i < change.blocks.size(); ++i) {
      const u64 index = change.first_block + i;
      base_hash_ ^= term(index, base_.blocks[index]) ^ term(index, change.blocks[i]);
      base_.blocks[index] = change.blocks[i];
    }
    if (change.kind == DiskChange::Kind::fill) {
      const u64 size = std::max(base_.size, (change.first_block + change.blocks.size()) * block_size);
      base_hash_ ^= size_term(base_.size) ^ size_term(size);
      base_.size = size;
    }
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
}

void States::prepare() {
  std::map<u64, size_t> slots;
  touched_.clear();
  open_.clear();
  for (size_t i = 0; i < pending_.size(); ++i) {
    Pending& one = pending_[i];
    if (!one.durable) open_.push_back(i);
    one.slots.clear();
    for (size_t block = 0; block < one.change->blocks.size(); ++block) {
      const auto [at, fresh] = slots.try_emplace(one.change->first_block + block, touched_.size());
      if (fresh) touched_.push_back(at->first);
      one.slots.push_back(at->second);
    }
  }
}

// --- combinations ---------------------------------------------------------------------------------------------------

std::vector<std::vector<Fate>> States::combinations() {
  const size_t count = open_.size();
  std::vector<std::vector<Fate>> out;
  const auto whole = [&](size_t i) { return kept(*pending_[open_[i]].change); };
  const auto add = [&](auto keeps) {
    std::vector<Fate> fates(count);
    for (size_t i = 0; i < count; ++i) fates[i] = keeps(i) ? whole(i) : Fate{};
    out.push_back(std::move(fates));
  };
  if (count <= subset_changes) {
    for (u64 mask = 0; mask < u64{1} << count; ++mask) add([&](size_t i) { return (mask >> i & 1) != 0; });
  } else {
    ++bounded_;
    for (size_t a = 0; a < count; ++a) {
      for (size_t b = a; b < count; ++b) {
        add([&](size_t i) { return i != a && i != b; });
        add([&](size_t i) { return i == a || i == b; });
      }
    }
    for (size_t end = 0; end <= count; ++end) add([&](size_t i) { return i < end; });
  }
  add_torn(out);
  return out;
}

void States::add_torn(std::vector<std::vector<Fate>>& out) const {
  const size_t count = open_.size();
  for (size_t i = 0; i < count; ++i) {
    const DiskChange& change = *pending_[open_[i]].change;
    const u32 sectors = kept(change).to;
    const u32 middle = sectors / 2 / sectors_a_block * sectors_a_block;
    std::vector<Fate> ways{{0, 1}, {0, sectors / 2}, {0, sectors - 1}, {1, sectors}, {middle, middle + 1, true}};
    if (sectors > sectors_a_block) {
      ways.insert(ways.end(), {{0, sectors_a_block},
                               {sectors_a_block, sectors},
                               {0, sectors - sectors_a_block},
                               {sectors - sectors_a_block, sectors},
                               {middle, middle + sectors_a_block, true}});
    }
    // A fill is nothing but zeroes: only how far it came can be told.
    if (change.kind == DiskChange::Kind::fill) ways = {{0, middle}, {0, sectors - sectors_a_block}};
    const auto add = [&](const Fate& way, auto keeps) {
      std::vector<Fate> fates(count);
      for (size_t other = 0; other < count; ++other) {
        if (keeps(other)) fates[other] = kept(*pending_[open_[other]].change);
      }
      fates[i] = way;
      out.push_back(std::move(fates));
    };
    for (const Fate& way : ways) {
      if (count - 1 <= torn_others) {
        for (u64 mask = 0; mask < u64{1} << count; ++mask) {
          if ((mask >> i & 1) == 0) add(way, [&](size_t other) { return (mask >> other & 1) != 0; });
        }
      } else {
        add(way, [](size_t) { return true; });
        add(way, [](size_t) { return false; });
        add(way, [&](size_t other) { return other < i; });
      }
    }
  }
}

// --- the state at hand ----------------------------------------------------------------------------------------------

const Stored* States::torn(const Stored* before, const Stored* after, u32 from, u32 to, bool inverse) {
  if (before == after) return before;
  const auto [at, fresh] = torn_.try_emplace({before, after, from, to, inverse}, nullptr);
  if (!fresh) return at->second;
  std::byte bytes[block_size] = {};
  if (before != nullptr) std::memcpy(bytes, before->bytes, block_size);
  for (u32 sector = 0; sector < sectors_a_block; ++sector) {
    if ((sector >= from && sector < to) == inverse) continue;
    if (after == nullptr) {
      std::memset(bytes + sector * sector_size, 0, sector_size);
    } else {
      std::memcpy(bytes + sector * sector_size, after->bytes + sector * sector_size, sector_size);
    }
  }
  return at->second = shelf_.put(bytes);
}

void States::lay(const std::vector<Fate>& fates) {
  fates_ = fates;
  now_.resize(touched_.size());
  for (size_t slot = 0; slot < touched_.size(); ++slot) now_[slot] = base_.blocks[touched_[slot]];
  size_now_ = base_.size;
  size_t next = 0;
  for (const Pending& one : pending_) {
    const DiskChange& change = *one.change;
    const Fate fate = one.durable ? kept(change) : fates[next++];
    for (u32 block = 0; block < change.blocks.size(); ++block) {
      const u32 first = block * sectors_a_block;
      const u32 from = std::clamp(fate.from, first, first + sectors_a_block) - first;
      const u32 to = std::clamp(fate.to, first, first + sectors_a_block) - first;
      const bool all = from == 0 && to == sectors_a_block;
      const bool none = from >= to;
      const Stored*& at = now_[one.slots[block]];
      if (fate.inverse ? none : all) {
        at = change.blocks[block];
      } else if (fate.inverse ? !all : !none) {
        at = torn(at, change.blocks[block], from, to, fate.inverse);
      }
    }
    if (change.kind == DiskChange::Kind::fill && !fate.inverse) {
      size_now_ = std::max(size_now_, fate.to == 0 ? 0 : change.first_block * block_size + fate.to * sector_size);
    }
  }
  hash_now_ = base_hash_;
  if (size_now_ != base_.size) hash_now_ ^= size_term(base_.size) ^ size_term(size_now_);
  for (size_t slot = 0; slot < touched_.size(); ++slot) {
    const u64 index = touched_[slot];
    if (now_[slot] != base_.blocks[index]) hash_now_ ^= term(index, base_.blocks[index]) ^ term(index, now_[slot]);
  }
}

Image States::image() const {
  Image image = base_;
  image.size = size_now_;
  for (size_t slot = 0; slot < touched_.size(); ++slot) image.blocks[touched_[slot]] = now_[slot];
  return image;
}

std::string States::describe() const {
  std::string out;
  size_t next = 0;
  for (const Pending& one : pending_) {
    const DiskChange& change = *one.change;
    const char* const kind = change.kind == DiskChange::Kind::write ? "write" : change.kind == DiskChange::Kind::fill ? "fill" : "hole";
    out += fmt::format("  {} {} of {} blocks at block {} ({}): ", kind, one.number, change.blocks.size(), change.first_block,
                       one.durable ? "durable" : one.completed ? "completed" : "under way");
    const Fate whole = kept(change);
    const Fate fate = one.durable ? whole : fates_[next++];
    if (fate.from >= fate.to) {
      out += fate.inverse ? "kept\n" : "dropped\n";
    } else if (fate.inverse) {
      out += fmt::format("torn, all but sectors {} to {} of {}\n", fate.from, fate.to - 1, whole.to);
    } else if (fate.from == 0 && fate.to == whole.to) {
      out += "kept\n";
    } else {
      out += fmt::format("torn, only sectors {} to {} of {}\n", fate.from, fate.to - 1, whole.to);
    }
  }
  return out.empty() ? "  nothing is volatile\n" : out;
}

}  // namespace brindle::crash
