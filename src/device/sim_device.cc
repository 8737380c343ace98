#include "device/sim_device.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace brindle {

SimDevice::SimDevice(Runtime& runtime, SimDisk& disk, u64 seed, SimFaults faults)
    : runtime_(runtime), disk_(disk), rng_(seed), faults_(faults) {}

Runtime::Sleep SimDevice::wait(bool reads) {
  u64 ns = faults_.latency_ns + rng_.below(faults_.latency_ns + 1);
  if (faults_.slow_calls > 0) {
    --faults_.slow_calls;
    ns += faults_.slow_ns;
  } else if (reads && faults_.slow_reads > 0) {
    --faults_.slow_reads;
    ns += faults_.slow_ns;
  }
  return runtime_.sleep(ns);
}

Task<Status> SimDevice::read(u64 offset, std::span<const iovec> into) {
  ++reads_;
  co_await wait(true);
  if (faults_.good_reads > 0) {
    --faults_.good_reads;
  } else if (fails(faults_.read_error_one_in, faults_.failing_reads)) {
    co_return Error{Code::io, "simulated read error"};
  }
  for (const iovec& piece : into) {
    CHECK(offset % block_size == 0 && piece.iov_len % block_size == 0);
    for (u64 done = 0; done < piece.iov_len; done += block_size, offset += block_size) {
      auto* to = static_cast<std::byte*>(piece.iov_base) + done;
      CHECK(offset + block_size <= disk_.size);
      if (faults_.bad_blocks.contains(offset / block_size)) co_return Error{Code::io, "a simulated bad block"};
      const auto at = disk_.blocks.find(offset / block_size);
      if (at == disk_.blocks.end()) {
        std::memset(to, 0, block_size);
      } else {
        std::memcpy(to, at->second.data(), block_size);
      }
    }
  }
  co_return Status{};
}

void SimDevice::put(u64 block, const std::byte* bytes) {
  auto& now = disk_.blocks[block];
  const auto [at, fresh] = disk_.cached.try_emplace(block);
  if (fresh) at->second.durable = std::move(now);
  if (std::exchange(at->second.let_go, false)) at->second.versions.clear();
  now.assign(bytes, bytes + block_size);
  at->second.versions.push_back({++disk_.sequence, now});
  faults_.bad_blocks.erase(block);
}

/// A write that a crash cut short: each sector is there or not.
void SimDevice::put_torn(u64 block, const std::byte* bytes) {
  std::vector<std::byte> torn(block_size);
  if (const auto at = disk_.blocks.find(block); at != disk_.blocks.end() && !at->second.empty()) torn = at->second;
  for (u64 sector = 0; sector < block_size; sector += sim_sector_size) {
    if (rng_.one_in(2)) std::memcpy(torn.data() + sector, bytes + sector, sim_sector_size);
  }
  put(block, torn.data());
}

Task<Status> SimDevice::write(u64 offset, std::span<const iovec> from) {
  ++writes_;
  std::vector<std::byte> bytes;
  for (const iovec& piece : from) {
    const auto* at = static_cast<const std::byte*>(piece.iov_base);
    bytes.insert(bytes.end(), at, at + piece.iov_len);
  }
  CHECK(offset % block_size == 0 && bytes.size() % block_size == 0 && offset + bytes.size() <= disk_.size);
  const auto under_way = under_way_.insert(under_way_.end(), {offset, std::move(bytes)});
  co_await wait();
  if (faults_.host_full && !given(offset, under_way->bytes.size())) {
    under_way_.erase(under_way);
    co_return Error{Code::no_space, "the simulated host is full"};
  }
  const bool failed = fails(faults_.write_error_one_in, faults_.failing_writes);
  const u64 whole = under_way->bytes.size() / block_size;
  u64 reached = failed ? rng_.below(whole + 1) : whole;
  u64 to = offset / block_size;
  if (!failed && faults_.lost_writes > 0) {
    --faults_.lost_writes;
    reached = 0;
  } else if (!failed && faults_.misdirected_writes > 0) {
    --faults_.misdirected_writes;
    to = rng_.below(disk_.size / block_size - whole + 1);
  }
  for (u64 i = 0; i < reached; ++i) put(to + i, under_way->bytes.data() + i * block_size);
  under_way_.erase(under_way);
  if (failed) co_return Error{Code::io, "simulated write error"};
  co_return Status{};
}

Task<Status> SimDevice::flush() {
  ++flushes_;
  // A block may change again while the flush runs: what it holds now is what the flush makes durable.
  const u64 newest = disk_.sequence;
  co_await wait();
  if (fails(faults_.flush_error_one_in, faults_.failing_flushes)) {
    if (faults_.flushes_let_go) let_some_go(newest);
    co_return Error{Code::io, "simulated flush error"};
  }
  for (auto at = disk_.cached.begin(); at != disk_.cached.end();) {
    if (at->second.let_go) {
      ++at;
      continue;
    }
    auto& versions = at->second.versions;
    const auto behind = std::find_if(versions.begin(), versions.end(), [&](const auto& v) { return v.sequence > newest; });
    if (behind == versions.end()) {
      at = disk_.cached.erase(at);
      continue;
    }
    if (behind != versions.begin()) {
      at->second.durable = std::move(std::prev(behind)->bytes);
      versions.erase(versions.begin(), behind);
    }
    ++at;
  }
  co_return Status{};
}

/// Of what stood in the cache when the flush began.
void SimDevice::let_some_go(u64 newest) {
  static constexpr u64 chances[] = {1, 2, 8};
  const u64 one_in = chances[rng_.below(std::size(chances))];
  for (auto& [block, cached] : disk_.cached) {
    if (cached.versions.back().sequence <= newest && rng_.one_in(one_in)) cached.let_go = true;
  }
}

bool SimDevice::let_go() const {
  return std::any_of(disk_.cached.begin(), disk_.cached.end(), [](const auto& item) { return item.second.let_go; });
}

void SimDevice::end() {
  for (auto at = disk_.cached.begin(); at != disk_.cached.end();) {
    if (!at->second.let_go) {
      ++at;
      continue;
    }
    if (at->second.durable.empty()) {
      disk_.blocks.erase(at->first);
    } else {
      disk_.blocks[at->first] = std::move(at->second.durable);
    }
    at = disk_.cached.erase(at);
  }
}

void SimDevice::forget(u64 offset, u64 length) {
  const u64 first = offset / block_size;
  const u64 end = (offset + length) / block_size;
  disk_.blocks.erase(disk_.blocks.lower_bound(first), disk_.blocks.lower_bound(end));
  disk_.cached.erase(disk_.cached.lower_bound(first), disk_.cached.lower_bound(end));
}

bool SimDevice::given(u64 offset, u64 length) const {
  const u64 end = (offset + length) / block_size;
  if (end > disk_.given.size()) return false;
  const auto at = [this](u64 block) { return disk_.given.begin() + static_cast<std::ptrdiff_t>(block); };
  return std::find(at(offset / block_size), at(end), false) == at(end);
}

void SimDevice::give(u64 offset, u64 length, bool given) {
  const u64 end = (offset + length) / block_size;
  if (disk_.given.size() < end) disk_.given.resize(end);
  std::fill_n(disk_.given.begin() + static_cast<std::ptrdiff_t>(offset / block_size), length / block_size, given);
}

Task<Status> SimDevice::punch(u64 offset, u64 length) {
  co_await wait();
  if (faults_.host_keeps) co_return Error{Code::unsupported, "the simulated host takes nothing back"};
  forget(offset, length);
  give(offset, length, false);
  co_return Status{};
}

Task<Status> SimDevice::fill(u64 offset, u64 length) {
  // It is the flush behind it that takes its time.
  if (faults_.host_full && !given(offset, length)) co_return Error{Code::no_space, "the simulated host is full"};
  if (offset + length > disk_.size_max) co_return Error{Code::no_space, "the simulated disk ends there"};
  if (faults_.host_fails) co_return Error{Code::io, "simulated error of the host"};
  give(offset, length, true);
  disk_.size = std::max(disk_.size, offset + length);
  forget(offset, length);
  co_return Status{};
}

Task<Status> SimDevice::set_size_max(u64 bytes) {
  disk_.size_max = std::max(bytes, disk_.size);
  co_return Status{};
}

void SimDevice::kill() {
  for (const UnderWay& write : under_way_) {
    const u64 reach = rng_.below(3);  // nothing, everything, or any part of it
    for (u64 i = 0; reach > 0 && i < write.bytes.size() / block_size; ++i) {
      const std::byte* const bytes = write.bytes.data() + i * block_size;
      if (reach == 1) {
        put(write.offset / block_size + i, bytes);
      } else if (rng_.one_in(8)) {
        put_torn(write.offset / block_size + i, bytes);
      } else if (rng_.one_in(2)) {
        put(write.offset / block_size + i, bytes);
      }
    }
  }
  under_way_.clear();
  end();
}

void SimDevice::lose_power() {
  kill();
  // Of so many blocks one goes back: with one and the same chance each time, a single lost block among many that are
  // kept, or the other way about, would hardly ever be seen.
  static constexpr u64 chances[] = {1, 2, 2, 8, 64};
  const u64 lost_one_in = chances[rng_.below(std::size(chances))];
  const u64 torn_one_in = rng_.one_in(2) ? 4 : 64;
  for (auto& [block, cached] : disk_.cached) {
    // 0: what was durable; else one of the writes since, whatever became of the others.
    const auto draw = [&, &versions = cached.versions]() -> u64 {
      if (!rng_.one_in(lost_one_in)) return versions.size();
      return rng_.below(versions.size());
    };
    const auto bytes_of = [&, &of = cached](u64 version) -> const std::vector<std::byte>& {
      return version == 0 ? of.durable : of.versions[version - 1].bytes;
    };
    if (rng_.one_in(torn_one_in)) {
      std::vector<std::byte> torn(block_size);
      for (u64 sector = 0; sector < block_size; sector += sim_sector_size) {
        const auto& from = bytes_of(rng_.below(cached.versions.size() + 1));
        if (!from.empty()) std::memcpy(torn.data() + sector, from.data() + sector, sim_sector_size);
      }
      disk_.blocks[block] = std::move(torn);
      continue;
    }
    const auto& kept = bytes_of(draw());
    if (kept.empty()) {
      disk_.blocks.erase(block);
    } else {
      disk_.blocks[block] = kept;
    }
  }
  disk_.cached.clear();
}

}  // namespace brindle
