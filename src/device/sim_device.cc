#include "device/sim_device.h"

#include <algorithm>
#include <cstring>

namespace brindle {

SimDevice::SimDevice(Runtime& runtime, SimDisk& disk, u64 seed, SimFaults faults)
    : runtime_(runtime), disk_(disk), rng_(seed), faults_(faults) {}

Runtime::Sleep SimDevice::wait() { return runtime_.sleep(faults_.latency_ns + rng_.below(faults_.latency_ns + 1)); }

Task<Status> SimDevice::read(u64 offset, std::span<const iovec> into) {
  ++reads_;
  co_await wait();
  if (fails(faults_.read_error_one_in, faults_.failing_reads)) co_return Error{Code::io, "simulated read error"};
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
  disk_.durable.try_emplace(block, now);
  now.assign(bytes, bytes + block_size);
  changed_[block] = ++sequence_;
  faults_.bad_blocks.erase(block);
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
  const bool failed = fails(faults_.write_error_one_in, faults_.failing_writes);
  const u64 whole = under_way->bytes.size() / block_size;
  const u64 reached = failed ? rng_.below(whole + 1) : whole;
  for (u64 i = 0; i < reached; ++i) put(offset / block_size + i, under_way->bytes.data() + i * block_size);
  under_way_.erase(under_way);
  if (failed) co_return Error{Code::io, "simulated write error"};
  co_return Status{};
}

Task<Status> SimDevice::flush() {
  ++flushes_;
  // A block may change again while the flush runs: what it holds now is what the flush makes durable.
  std::map<u64, std::vector<std::byte>> covered;
  for (const auto& [block, sequence] : changed_) covered[block] = disk_.blocks[block];
  const u64 newest = sequence_;
  co_await wait();
  if (fails(faults_.flush_error_one_in, faults_.failing_flushes)) co_return Error{Code::io, "simulated flush error"};
  for (auto& [block, bytes] : covered) {
    const auto at = changed_.find(block);
    if (at == changed_.end()) continue;
    if (at->second > newest) {
      disk_.durable[block] = std::move(bytes);
    } else {
      disk_.durable.erase(block);
      changed_.erase(at);
    }
  }
  co_return Status{};
}

Task<Status> SimDevice::punch(u64 offset, u64 length) {
  co_await wait();
  for (u64 block = offset / block_size; block < (offset + length) / block_size; ++block) {
    disk_.blocks.erase(block);
    disk_.durable.erase(block);
    changed_.erase(block);
  }
  co_return Status{};
}

Task<Status> SimDevice::fill(u64 offset, u64 length) {
  co_await wait();
  if (faults_.host_full) co_return Error{Code::no_space, "the simulated host is full"};
  if (offset + length > disk_.size_max) co_return Error{Code::no_space, "the simulated disk ends there"};
  disk_.size = std::max(disk_.size, offset + length);
  for (u64 block = offset / block_size; block < (offset + length) / block_size; ++block) {
    disk_.blocks[block] = std::vector<std::byte>(block_size);
    disk_.durable.erase(block);
    changed_.erase(block);
  }
  co_return Status{};
}

Status SimDevice::set_size_max(u64 bytes) {
  disk_.size_max = std::max(bytes, disk_.size);
  return {};
}

void SimDevice::kill() {
  for (const UnderWay& write : under_way_) {
    for (u64 i = 0; i < write.bytes.size() / block_size; ++i) {
      if (rng_.one_in(2)) put(write.offset / block_size + i, write.bytes.data() + i * block_size);
    }
  }
  under_way_.clear();
  disk_.durable.clear();  // the host keeps what the process had written
  changed_.clear();
}

void SimDevice::lose_power() {
  for (const UnderWay& write : under_way_) {
    for (u64 i = 0; i < write.bytes.size() / block_size; ++i) {
      if (rng_.one_in(2)) put(write.offset / block_size + i, write.bytes.data() + i * block_size);
    }
  }
  under_way_.clear();
  for (auto& [block, bytes] : disk_.durable) {
    if (!rng_.one_in(2)) continue;
    if (bytes.empty()) {
      disk_.blocks.erase(block);
    } else {
      disk_.blocks[block] = bytes;
    }
  }
  disk_.durable.clear();
  changed_.clear();
}

}  // namespace brindle
