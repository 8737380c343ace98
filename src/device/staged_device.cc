#include "device/staged_device.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/planted.h"
#include "device/vectors.h"

namespace brindle {

namespace {

// A second long write under way keeps the device busy while the first one's end is noticed.
constexpr u64 under_way_max = 4;
constexpr u64 run_bytes_max = MiB;
// Beside another one, a write is to be worth its while.
constexpr u64 run_bytes_min = 128 * KiB;

}  // namespace

StagedDevice::StagedDevice(Runtime& runtime, Device& under, Staging& staging, bool accepts)
    : under_(under), staging_(staging), accepts_(accepts), left_over_(staging.left_over()), written_(runtime), gate_(runtime) {}

StagedDevice::~StagedDevice() = default;

Task<void> StagedDevice::close() {
  co_await hurry([this] { return count_ == 0; });
  co_await gate_.close();
}

// --- what an earlier process left -----------------------------------------------------------------------------------

/// One after the other, in order: of two for one place the later one counts.
Task<Result<u64>> StagedDevice::unstage(u64 opening) {
  u64 bytes = 0;
  for (const StagedWrite& left : left_over_) {
    // Who opened the pool since went on without these.
    if (left.opening != opening && !planted(Plant::staged_any_opening)) continue;
    if (left.offset + left.bytes.size() > under_.size()) continue;
    const Status status = co_await under_.Device::write(left.offset, left.bytes);
    if (!status) {
      co_return Error{Code::io, fmt::format("writes that were acknowledged wait in staging memory, and the device does not take them: {}; "
                                            "they stay there until the machine restarts, so try again",
                                            status.error().message)};
    }
    bytes += left.bytes.size();
  }
  left_over_.clear();
  staging_.clear();
  co_return bytes;
}

// --- reading --------------------------------------------------------------------------------------------------------

/// Copies what is staged of the range, and tells what else is to be read.
std::vector<StagedDevice::Piece> StagedDevice::read_staged(u64 offset, std::span<const iovec> into) {
  std::vector<Piece> rest;
  u64 joined = ~u64{0};  // where the last piece of the rest ends
  for (const iovec& vector : into) {
    auto* to = static_cast<std::byte*>(vector.iov_base);
    for (u64 left = vector.iov_len; left > 0;) {
      const auto at = by_end_.upper_bound(offset);
      u64 size = left;
      if (at != by_end_.end() && at->second.offset <= offset) {
        size = std::min(left, at->first - offset);
        std::memcpy(to, at->second.bytes.data() + (offset - at->second.offset), size);
      } else {
        if (at != by_end_.end()) size = std::min(left, at->second.offset - offset);
        if (joined != offset) rest.push_back({offset, {}});
        append_joined(rest.back().into, to, size);
        joined = offset + size;
      }
      to += size;
      offset += size;
      left -= size;
    }
  }
  return rest;
}

Task<Status> StagedDevice::read_rest(DeviceReader& from, std::vector<Piece> rest) {
  Status status;
  for (const Piece& piece : rest) {
    Status read = co_await from.read(piece.offset, piece.into);
    if (!read) status = std::move(read);
  }
  co_return status;
}

bool StagedDevice::overlaps(u64 offset, u64 length) const {
  const auto at = by_end_.upper_bound(offset);
  return at != by_end_.end() && at->second.offset < offset + length;
}

Task<Status> StagedDevice::read(u64 offset, std::span<const iovec> into) {
  if (planted(Plant::staged_unread) || !overlaps(offset, total_bytes(into))) return under_.read(offset, into);
  return read_rest(under_, read_staged(offset, into));
}

/// The table is the home core's; what it tells is copied under the lock, so that nothing of it is dropped meanwhile.
class StagedDevice::Reader final : public DeviceReader {
 public:
  Reader(StagedDevice& device, std::unique_ptr<DeviceReader> under) : device_(device), under_(std::move(under)) {}

  Task<Status> read(u64 offset, std::span<const iovec> into) override {
    if (device_.count_.load(std::memory_order_acquire) == 0) return under_->read(offset, into);
    const std::lock_guard lock(device_.mutex_);
    if (!device_.overlaps(offset, total_bytes(into))) return under_->read(offset, into);
    return read_rest(*under_, device_.read_staged(offset, into));
  }

 private:
  StagedDevice& device_;
  std::unique_ptr<DeviceReader> under_;
};

std::unique_ptr<DeviceReader> StagedDevice::reader(Reactor& core) {
  auto under = under_.reader(core);
  if (!under) return nullptr;
  return std::make_unique<Reader>(*this, std::move(under));
}

// --- staging --------------------------------------------------------------------------------------------------------

/// Waits until `done`, or until something failed; what is staged goes down without waiting for more.
template <class Done>
Task<void> StagedDevice::hurry(Done done) {
  ++hurried_;
  while (!failed_ && !done()) {
    go_on(true);
    if (!failed_ && !done()) co_await written_.wait();
  }
  --hurried_;
}

/// Nothing is staged in the range any more.
Task<Status> StagedDevice::settle(u64 offset, u64 length) {
  co_await hurry([this, offset, length] { return !overlaps(offset, length); });
  if (failed_) co_return *failed_;
  co_return Status{};
}

Task<Status> StagedDevice::stage(u64 opening, u64 offset, std::span<const iovec> from) {
  const u64 length = total_bytes(from);
  CHECK(left_over_.empty());
  if (!accepts_ || length > staging_.length_max()) co_return co_await write(offset, from);
  for (;;) {
    if (overlaps(offset, length)) {
      if (auto status = co_await settle(offset, length); !status) co_return status;
    }
    if (failed_) co_return *failed_;
    const auto staged = staging_.put(opening, offset, length, from);
    if (!staged) {
      co_await written_.wait();
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      by_end_.emplace(offset + length, *staged);
      count_.store(by_end_.size(), std::memory_order_release);
    }
    waiting_.push_back(*staged);
    waiting_bytes_ += length;
    go_on(hurried_ > 0);
    co_return Status{};
  }
}

/// Sends down what waits, where that is worth it; `now`: somebody waits for it.
void StagedDevice::go_on(bool now) {
  while (!waiting_.empty() && !failed_ && (under_way_ == 0 || (under_way_ < under_way_max && (now || waiting_bytes_ >= run_bytes_min)))) {
    std::vector<StagedWrite> run;
    u64 bytes = 0;
    while (!waiting_.empty()) {
      const StagedWrite& next = waiting_.front();
      if (!run.empty() && (next.offset != run.back().offset + run.back().bytes.size() || bytes + next.bytes.size() > run_bytes_max)) break;
      bytes += next.bytes.size();
      run.push_back(next);
      waiting_.pop_front();
    }
    waiting_bytes_ -= bytes;
    ++under_way_;
    gate_.spawn(write_down(std::move(run)));
  }
}

Task<void> StagedDevice::write_down(std::vector<StagedWrite> run) {
  std::vector<iovec> pieces;
  for (const StagedWrite& staged : run) {
    append_joined(pieces, const_cast<std::byte*>(staged.bytes.data()), staged.bytes.size());
  }
  if (planted(Plant::staged_dropped_early)) {
    for (const StagedWrite& staged : run) staging_.drop(staged.sequence);
  }
  Status status = co_await under_.write(run.front().offset, pieces);
  if (!status) status = co_await under_.write(run.front().offset, pieces);  // a passing error costs only time
  --under_way_;
  if (status) {
    {
      const std::lock_guard lock(mutex_);
      for (const StagedWrite& staged : run) by_end_.erase(staged.offset + staged.bytes.size());
      count_.store(by_end_.size(), std::memory_order_release);
    }
    for (const StagedWrite& staged : run) {
      if (!planted(Plant::staged_dropped_early)) staging_.drop(staged.sequence);
    }
  } else if (!failed_) {
    failed_ = Error{Code::io, fmt::format("a staged write failed: {}", status.error().message)};
  }
  written_.notify_all();
  if (!gate_.closed()) go_on(hurried_ > 0);
}

// --- everything else --------------------------------------------------------------------------------------------

Task<Status> StagedDevice::write(u64 offset, std::span<const iovec> from) {
  if (failed_ || overlaps(offset, total_bytes(from))) {
    if (auto status = co_await settle(offset, total_bytes(from)); !status) co_return status;
  }
  co_return co_await under_.write(offset, from);
}

Task<Status> StagedDevice::flush() {
  const u64 last = staging_.last();
  co_await hurry([this, last] { return !staging_.holds_up_to(last) || planted(Plant::staged_unflushed); });
  if (failed_) co_return *failed_;
  co_return co_await under_.flush();
}

Task<Status> StagedDevice::punch(u64 offset, u64 length) {
  if (auto status = co_await settle(offset, length); !status) co_return status;
  co_return co_await under_.punch(offset, length);
}

Task<Status> StagedDevice::fill(u64 offset, u64 length) {
  if (auto status = co_await settle(offset, length); !status) co_return status;
  co_return co_await under_.fill(offset, length);
}

}  // namespace brindle
