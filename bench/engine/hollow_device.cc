#include "engine/hollow_device.h"

#include <cstring>

#include "base/rng.h"
#include "device/vectors.h"
#include "format/batch.h"
#include "format/summary.h"

namespace brindle::bench {

namespace {

struct PayloadBlock {
  PayloadBlock() : buffer(block_size) {
    Rng rng(4096);
    for (u64 at = 0; at < block_size; at += sizeof(u64)) {
      const u64 word = rng.next();
      std::memcpy(buffer.data() + at, &word, sizeof word);
    }
  }
  AlignedBuffer buffer;
};

u32 magic_of(const std::byte* block) {
  u32 magic = 0;
  std::memcpy(&magic, block, sizeof magic);
  return magic;
}

/// Calls `each` with every block of memory and the number of its block of the device.
template <class Each>
void each_block(u64 offset, std::span<const iovec> vectors, Each each) {
  u64 at = offset / block_size;
  for (const iovec& vector : vectors) {
    auto* block = static_cast<std::byte*>(vector.iov_base);
    for (u64 left = vector.iov_len; left > 0; left -= block_size) {
      each(block, at++);
      block += block_size;
    }
  }
}

/// Is all of the write the summary of a segment?
bool is_summary(std::span<const iovec> from, u64 bytes) {
  if (from.size() != 1 || bytes < block_size) return false;
  SummaryTail tail;
  std::memcpy(&tail, static_cast<const std::byte*>(from[0].iov_base) + bytes - sizeof tail, sizeof tail);
  return tail.magic == summary_magic && tail.blocks * block_size == bytes;
}

}  // namespace

HollowDevice::HollowDevice(std::unique_ptr<Device> behind, std::unique_ptr<Device> payload_file)
    : behind_(std::move(behind)), payload_file_(std::move(payload_file)) {
  const u64 blocks = behind_->size_max() / block_size;
  kinds_.resize(blocks / kinds_a_word);
  region_kept_.resize(div_up(blocks, region_blocks));
}

Bytes HollowDevice::payload() {
  static const PayloadBlock block;
  return block.buffer.span();
}

void HollowDevice::set_kind(u64 block, Kind kind) {
  const Kind before = this->kind(block);
  if (before == kind) return;
  u64& word = kinds_[block / kinds_a_word];
  const u64 shift = block % kinds_a_word * 2;
  word = (word & ~(u64{3} << shift)) | static_cast<u64>(kind) << shift;
  u16& kept = region_kept_[block / region_blocks];
  if (kind == Kind::kept) {
    ++kept;
    ++kept_blocks_;
  } else if (before == Kind::kept) {
    --kept_blocks_;
    if (--kept == 0) emptied_.push_back(block / region_blocks);
  }
}

Task<Status> HollowDevice::drop_empty_regions() {
  Status status;
  while (!emptied_.empty() && status) {
    const u64 region = emptied_.back();
    emptied_.pop_back();
    if (region_kept_[region] == 0) status = co_await behind_->punch(region * region_blocks * block_size, region_blocks * block_size);
  }
  co_return status;
}

Task<Status> HollowDevice::write(u64 offset, std::span<const iovec> from) {
  static const Bytes pattern = payload();
  const u64 bytes = total_bytes(from);
  CHECK(offset + bytes <= size_max());
  const bool summary = is_summary(from, bytes);
  u64 records_left = 0;
  std::vector<Run> kept;
  each_block(offset, from, [&](std::byte* block, u64 at) {
    const u32 magic = magic_of(block);
    Kind kind = Kind::kept;
    if (summary || magic == segment_magic) {
      kind = Kind::record;
    } else if (records_left > 0) {
      --records_left;
      kind = Kind::record;
    } else if (magic == magic_of(pattern.data()) && std::memcmp(block, pattern.data(), block_size) == 0) {
      kind = Kind::payload;
    } else if (magic == batch_magic) {
      BatchHeader header;
      std::memcpy(&header, block, sizeof header);
      records_left = header.record_blocks - 1;
      kind = Kind::record;
    }
    set_kind(at, kind);
    if (kind != Kind::kept) return;
    if (kept.empty() || kept.back().offset + kept.back().bytes != at * block_size) kept.push_back({kind, at * block_size, 0, {}});
    kept.back().bytes += block_size;
    append_joined(kept.back().vectors, block, block_size);
  });
  size_ = std::max(size_, offset + bytes);
  Status status;
  for (const Run& run : kept) {
    status = co_await behind_->write(run.offset, run.vectors);
    if (!status) break;
  }
  if (status && !emptied_.empty()) status = co_await drop_empty_regions();
  co_return status;
}

Task<Status> HollowDevice::read_payload(const Run& run) {
  if (payload_file_) {
    // The same place gives the same bytes of the file; neighbours are neighbours.
    const u64 room = payload_file_->size() - run.bytes + block_size;
    co_return co_await payload_file_->read(run.offset % room / block_size * block_size, run.vectors);
  }
  for (const iovec& vector : run.vectors) {
    for (u64 at = 0; at < vector.iov_len; at += block_size) {
      std::memcpy(static_cast<std::byte*>(vector.iov_base) + at, payload().data(), block_size);
    }
  }
  co_return Status{};
}

Task<Status> HollowDevice::read(u64 offset, std::span<const iovec> into) {
  std::vector<Run> runs;
  each_block(offset, into, [&](std::byte* block, u64 at) {
    const Kind now = kind(at);
    if (runs.empty() || runs.back().kind != now) runs.push_back({now, at * block_size, 0, {}});
    runs.back().bytes += block_size;
    append_joined(runs.back().vectors, block, block_size);
  });
  Status status;
  for (const Run& run : runs) {
    if (run.kind == Kind::kept) {
      status = co_await behind_->read(run.offset, run.vectors);
    } else if (run.kind == Kind::payload) {
      status = co_await read_payload(run);
    } else {
      for (const iovec& vector : run.vectors) std::memset(vector.iov_base, 0, vector.iov_len);
    }
    if (!status) break;
  }
  co_return status;
}

Task<Status> HollowDevice::punch(u64 offset, u64 length) {
  for (u64 block = offset / block_size; block < (offset + length) / block_size; ++block) set_kind(block, Kind::zeroes);
  co_return co_await drop_empty_regions();
}

Task<Status> HollowDevice::fill(u64 offset, u64 length) {
  CHECK(offset + length <= size_max());
  const Status status = co_await punch(offset, length);
  size_ = std::max(size_, offset + length);
  co_return status;
}

}  // namespace brindle::bench
