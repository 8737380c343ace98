#include "crash/recorder.h"

#include <algorithm>
#include <cstring>

namespace brindle::crash {

Task<Status> Recorder::read(u64 offset, std::span<const iovec> into) {
  CHECK(offset % block_size == 0);
  u64 block = offset / block_size;
  for (const iovec& piece : into) {
    CHECK(piece.iov_len % block_size == 0 && (block * block_size) + piece.iov_len <= image().size);
    auto* to = static_cast<std::byte*>(piece.iov_base);
    for (auto* const end = to + piece.iov_len; to < end; to += block_size, ++block) {
      const Stored* const stored = image().blocks[block];
      if (stored == nullptr) {
        std::memset(to, 0, block_size);
      } else {
        std::memcpy(to, stored->bytes, block_size);
      }
    }
  }
  co_return Status{};
}

void Recorder::apply(const DiskChange& change) {
  for (size_t i = 0; i < change.blocks.size(); ++i) image().blocks[change.first_block + i] = change.blocks[i];
  if (change.kind == DiskChange::Kind::fill) {
    image().size = std::max(image().size, (change.first_block + change.blocks.size()) * block_size);
  }
}

Task<Status> Recorder::change(DiskChange::Kind kind, u64 offset, std::vector<const Stored*> blocks) {
  DiskChange made{kind, offset / block_size, std::move(blocks)};
  if (history_ == nullptr) {
    apply(made);
    co_return Status{};
  }
  const u64 number = history_->changes.size();
  history_->changes.push_back(made);
  history_->events.push_back({EventKind::asked, number});
  volatile_[number] = false;
  co_await runtime_.sleep(latency_ns);
  apply(made);
  if (history_ == nullptr) co_return Status{};
  history_->events.push_back({EventKind::completed, number});
  volatile_[number] = true;
  if (kind == DiskChange::Kind::fill) {
    history_->events.push_back({EventKind::durable, number});
    volatile_.erase(number);
  }
  co_return Status{};
}

Task<Status> Recorder::write(u64 offset, std::span<const iovec> from) {
  std::vector<const Stored*> blocks;
  for (const iovec& piece : from) {
    CHECK(piece.iov_len % block_size == 0);
    const auto* at = static_cast<const std::byte*>(piece.iov_base);
    for (u64 done = 0; done < piece.iov_len; done += block_size) {
      blocks.push_back(history_ != nullptr ? shelf_.put(at + done) : shelf_.put_plain(at + done));
    }
  }
  CHECK(offset % block_size == 0 && offset + blocks.size() * block_size <= image().size);
  const Status status = co_await change(DiskChange::Kind::write, offset, std::move(blocks));
  co_return status;
}

Task<Status> Recorder::flush() {
  ++flushes_;
  if (history_ == nullptr) co_return Status{};
  std::vector<u64> covered;
  for (const auto& [number, completed] : volatile_) {
    if (completed) covered.push_back(number);
  }
  co_await runtime_.sleep(flush_ns);
  if (history_ == nullptr) co_return Status{};
  for (const u64 number : covered) {
    if (volatile_.erase(number) > 0) history_->events.push_back({EventKind::durable, number});
  }
  co_return Status{};
}

Task<Status> Recorder::punch(u64 offset, u64 length) {
  std::vector<const Stored*> blocks(length / block_size);
  const Status status = co_await change(DiskChange::Kind::punch, offset, std::move(blocks));
  co_return status;
}

Task<Status> Recorder::fill(u64 offset, u64 length) {
  if (offset + length > size_max()) co_return Error{Code::no_space, "the disk ends there"};
  std::vector<const Stored*> blocks(length / block_size);
  const Status status = co_await change(DiskChange::Kind::fill, offset, std::move(blocks));
  co_return status;
}

Task<Status> Recorder::set_size_max(u64 bytes) {
  co_return bytes <= size_max() ? Status{} : Error{Code::invalid, "the disk is as large as it is"};
}

void Recorder::die(Image& image) {
  for (const auto& [number, completed] : volatile_) {
    if (!completed) history_->events.push_back({EventKind::gone, number});
  }
  dead_ = &image;
  history_ = nullptr;
}

void Recorder::inherit(const Recorder& before) {
  for (const auto& [number, completed] : before.volatile_) {
    if (completed) volatile_[number] = true;
  }
}

}  // namespace brindle::crash
