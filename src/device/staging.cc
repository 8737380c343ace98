#include "device/staging.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/planted.h"

namespace brindle {

namespace {

constexpr u64 staging_magic = 0x3147415453524245;  // "EBRSTAG1"
constexpr u64 bytes_a_descriptor = 8 * KiB;        // of memory: an entry is a block of records and one of data, or more

}  // namespace

struct Staging::Header {
  u64 magic;
  u64 bytes;
  StagingOwner owner;
  u32 reserved;
  u32 crc;  // of what is before
};

struct Staging::Descriptor {
  u64 sequence;
  u64 opening;
  u64 offset;
  u64 block;   // of the ring
  u64 length;  // bytes
  u32 crc;     // of what is before
  std::atomic<u32> counts;
  u64 reserved[2];
};

namespace {

template <class T>
u32 crc_before(const T& of, const u32& field) {
  const auto* const from = reinterpret_cast<const std::byte*>(&of);
  return crc32c({from, static_cast<size_t>(reinterpret_cast<const std::byte*>(&field) - from)});
}

}  // namespace

bool Staging::belongs_to(Bytes memory, const StagingOwner& owner) {
  Header header;
  if (memory.size() < staging_min) return false;
  std::memcpy(&header, memory.data(), sizeof header);
  return header.magic == staging_magic && header.crc == crc_before(header, header.crc) && header.bytes == memory.size() &&
         header.owner == owner;
}

Staging::Staging(MutBytes memory, const StagingOwner& owner) : memory_(memory) {
  static_assert(sizeof(Header) <= block_size && sizeof(Descriptor) == 64);
  CHECK(memory.size() >= staging_min && reinterpret_cast<std::uintptr_t>(memory.data()) % block_size == 0);
  descriptors_ = memory.size() / bytes_a_descriptor;
  const u64 front = block_size + round_up(descriptors_ * sizeof(Descriptor), block_size);
  ring_ = memory.data() + front;
  blocks_ = (memory.size() - front) / block_size;
  if (belongs_to(memory, owner)) return;
  // The header is taken back first: a process that is killed in between leaves nothing that would be believed. What a process has done by
  // then is there for the next one, whichever core that runs on; only the compiler must keep the order.
  std::memset(memory.data(), 0, block_size);
  std::atomic_signal_fence(std::memory_order_release);
  clear();
  std::atomic_signal_fence(std::memory_order_release);
  Header header{.magic = staging_magic, .bytes = memory.size(), .owner = owner, .reserved = 0, .crc = 0};
  header.crc = crc_before(header, header.crc);
  std::memcpy(memory.data(), &header, sizeof header);
}

Staging::Descriptor& Staging::descriptor(u64 sequence) const {
  return reinterpret_cast<Descriptor*>(memory_.data() + block_size)[sequence % descriptors_];
}

std::vector<StagedWrite> Staging::left_over() const {
  std::vector<StagedWrite> all;
  for (u64 i = 0; i < descriptors_; ++i) {
    const Descriptor& at = descriptor(i);
    if (at.counts.load(std::memory_order_acquire) == 0 || at.crc != crc_before(at, at.crc)) continue;
    if (at.block >= blocks_ || at.length > (blocks_ - at.block) * block_size) continue;
    all.push_back({at.sequence, at.opening, at.offset, {ring_ + at.block * block_size, at.length}});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  return all;
}

void Staging::clear() {
  for (u64 i = 0; i < descriptors_; ++i) descriptor(i).counts.store(0, std::memory_order_release);
  first_ += entries_.size();
  entries_.clear();
  taken_ = head_ = 0;
}

std::optional<StagedWrite> Staging::put(u64 opening, u64 offset, u64 length, std::span<const iovec> from) {
  CHECK(length > 0 && length % block_size == 0 && length <= length_max());
  const u64 wanted = length / block_size;
  const bool wraps = head_ + wanted > blocks_;
  const u64 skipped = wraps ? blocks_ - head_ : 0;
  if (entries_.size() == descriptors_ || taken_ + skipped + wanted > blocks_) return std::nullopt;
  const u64 block = wraps ? 0 : head_;
  std::byte* const begin = ring_ + block * block_size;
  std::byte* to = begin;
  for (const iovec& piece : from) {
    std::memcpy(to, piece.iov_base, piece.iov_len);
    to += piece.iov_len;
  }
  CHECK(to == begin + length);
  const u64 sequence = first_ + entries_.size();
  Descriptor& at = descriptor(sequence);
  at.sequence = sequence;
  at.opening = opening;
  at.offset = offset;
  at.block = block;
  at.length = length;
  at.crc = crc_before(at, at.crc);
  if (!planted(Plant::staged_unseen)) at.counts.store(1, std::memory_order_release);
  head_ = block + wanted;
  taken_ += skipped + wanted;
  entries_.push_back({skipped + wanted, false});
  return StagedWrite{sequence, opening, offset, {begin, length}};
}

void Staging::drop(u64 sequence) {
  CHECK(sequence >= first_ && sequence - first_ < entries_.size());
  descriptor(sequence).counts.store(0, std::memory_order_release);
  entries_[sequence - first_].dropped = true;
  while (!entries_.empty() && entries_.front().dropped) {
    taken_ -= entries_.front().blocks;
    entries_.pop_front();
    ++first_;
  }
}

}  // namespace brindle
