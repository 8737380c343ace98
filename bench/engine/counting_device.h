// counting_device.h: a device in front of another one, that counts what goes to it.
//
// Holds:  it changes nothing of what passes.
// Caller: as the device behind it; the counters may be read from any thread.
#pragma once

#include <atomic>
#include <memory>

#include "device/device.h"
#include "device/vectors.h"

namespace brindle::bench {

class CountingDevice final : public Device {
 public:
  struct Counters {
    std::atomic<u64> writes{0}, written{0}, reads{0}, read{0}, flushes{0}, filled{0}, punched{0};
  };

  explicit CountingDevice(std::unique_ptr<Device> behind) : behind_(std::move(behind)) {}
  const Counters& counters() const { return counters_; }

  u64 size() const override { return behind_->size(); }
  u64 size_max() const override { return behind_->size_max(); }
  Task<Status> read(u64 offset, std::span<const iovec> into) override {
    ++counters_.reads;
    counters_.read += total_bytes(into);
    return behind_->read(offset, into);
  }
  /// What another core reads by itself is not counted.
  std::unique_ptr<DeviceReader> reader(Reactor& core) override { return behind_->reader(core); }
  Task<Status> write(u64 offset, std::span<const iovec> from) override {
    ++counters_.writes;
    counters_.written += total_bytes(from);
    return behind_->write(offset, from);
  }
  Task<Status> flush() override {
    ++counters_.flushes;
    return behind_->flush();
  }
  Task<Status> punch(u64 offset, u64 length) override {
    counters_.punched += length;
    return behind_->punch(offset, length);
  }
  Task<Status> fill(u64 offset, u64 length) override {
    counters_.filled += length;
    return behind_->fill(offset, length);
  }
  Task<Status> set_size_max(u64 bytes_max) override { return behind_->set_size_max(bytes_max); }
  std::string name() const override { return behind_->name(); }

 private:
  std::unique_ptr<Device> behind_;
  Counters counters_;
};

}  // namespace brindle::bench
