// staged_device.h: a device whose `stage` returns as soon as the bytes stand in staging memory; they follow to the device right behind.
//
// Holds:  1. A staged write is seen by every later read, from any core, and outlives the process: the next one's `unstage` writes it.
//         2. What is staged goes down at once while little is under way, and else as long writes of what follows each other on the device.
//         3. A flush covers all that was staged before it. Any other change of a range waits for what is staged there.
//         4. Once a staged write cannot be written, all that is staged stays where it is, and every call that would change something fails.
// Caller: the home core, and the core of a reader for the reader.
// Fails:  as the device below.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "device/device.h"
#include "device/staging.h"
#include "runtime/sync.h"

namespace brindle {

class StagedDevice final : public Device {
 public:
  /// `accepts`: else it stages nothing new, and only writes what is left over.
  StagedDevice(Runtime& runtime, Device& under, Staging& staging, bool accepts = true);
  ~StagedDevice() override;

  u64 size() const override { return under_.size(); }
  u64 size_max() const override { return under_.size_max(); }
  Task<Status> read(u64 offset, std::span<const iovec> into) override;
  std::unique_ptr<DeviceReader> reader(Reactor& core) override;
  Task<Status> write(u64 offset, std::span<const iovec> from) override;
  bool stages() const override { return accepts_; }
  Task<Status> stage(u64 opening, u64 offset, std::span<const iovec> from) override;
  Task<Result<u64>> unstage(u64 opening) override;
  Task<Status> flush() override;
  Task<Status> punch(u64 offset, u64 length) override;
  Task<Status> fill(u64 offset, u64 length) override;
  Task<Status> set_size_max(u64 bytes) override { return under_.set_size_max(bytes); }
  std::string name() const override { return under_.name(); }
  std::string name_at(u64 offset) const override { return under_.name_at(offset); }
  std::vector<DevicePart> parts() const override { return under_.parts(); }

  /// Waits for the writes under way. Nothing may be called afterwards.
  Task<void> close();
  /// The device has everything that was ever staged.
  bool settled() const { return staging_.empty() && left_over_.empty(); }

 private:
  class Reader;
  struct Piece {
    u64 offset;
    std::vector<iovec> into;
  };

  bool overlaps(u64 offset, u64 length) const;
  template <class Done>
  Task<void> hurry(Done done);
  Task<Status> settle(u64 offset, u64 length);
  std::vector<Piece> read_staged(u64 offset, std::span<const iovec> into);
  static Task<Status> read_rest(DeviceReader& from, std::vector<Piece> rest);
  void go_on(bool now);
  Task<void> write_down(std::vector<StagedWrite> run);

  Device& under_;
  Staging& staging_;
  bool accepts_;
  std::vector<StagedWrite> left_over_;

  std::mutex mutex_;                    // over the next two, for readers on other cores
  std::map<u64, StagedWrite> by_end_;   // what the device does not have yet, by the byte behind it
  std::atomic<u64> count_ = 0;

  std::deque<StagedWrite> waiting_;  // in order
  u64 waiting_bytes_ = 0;
  u64 under_way_ = 0;
  u64 hurried_ = 0;  // who waits for the device
  std::optional<Error> failed_;
  Signal written_;
  Gate gate_;
};

}  // namespace brindle
