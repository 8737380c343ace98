// hollow_device.h: a device that keeps maps and tables and forgets payload, so that a pool of tebibytes fits a small machine.
//
// Holds:  1. Payload is blocks of `payload()`, all alike: of each only that it is there is remembered. Records of the log (batches,
//            headers and summaries of segments) are forgotten and read as zeroes. Everything else is kept on the device behind, at the
//            same place.
//         2. So the log cannot be replayed: a pool on it lives as long as the device, and is closed in order before it is opened again.
//         3. What is filled is not written: it reads as zeroes, and takes no room.
//         4. Where `payload_file` is given, each read of payload is a read of that file, somewhere in it, as long as it is: the file is
//            to hold payload alone. Then a read costs the disk what it would cost if the payload were there.
// Caller: one reactor's.
#pragma once

#include <memory>
#include <vector>

#include "base/aligned.h"
#include "device/device.h"

namespace brindle::bench {

class HollowDevice final : public Device {
 public:
  HollowDevice(std::unique_ptr<Device> behind, std::unique_ptr<Device> payload_file);
  /// The one block that is forgotten.
  static Bytes payload();

  u64 size() const override { return size_; }
  u64 size_max() const override { return kinds_.size() * kinds_a_word * block_size; }
  using Device::read;
  using Device::write;
  Task<Status> read(u64 offset, std::span<const iovec> into) override;
  Task<Status> write(u64 offset, std::span<const iovec> from) override;
  Task<Status> flush() override { return behind_->flush(); }
  Task<Status> punch(u64 offset, u64 length) override;
  Task<Status> fill(u64 offset, u64 length) override;
  Task<Status> set_size_max(u64) override { co_return Error{Code::invalid, "a hollow device does not grow"}; }
  std::string name() const override { return "hollow, over " + behind_->name(); }
  /// Bytes that are kept.
  u64 kept_bytes() const { return kept_blocks_ * block_size; }

 private:
  enum class Kind : u8 { zeroes, payload, record, kept };
  static constexpr u64 kinds_a_word = 32;
  static constexpr u64 region_blocks = 512;  // given back to the device behind when nothing in them is kept any more
  struct Run {
    Kind kind = Kind::zeroes;
    u64 offset = 0;
    u64 bytes = 0;
    std::vector<iovec> vectors;
  };

  Kind kind(u64 block) const { return static_cast<Kind>(kinds_[block / kinds_a_word] >> (block % kinds_a_word * 2) & 3); }
  void set_kind(u64 block, Kind kind);
  Task<Status> drop_empty_regions();
  Task<Status> read_payload(const Run& run);

  std::unique_ptr<Device> behind_;
  std::unique_ptr<Device> payload_file_;
  u64 size_ = 0;
  u64 kept_blocks_ = 0;
  std::vector<u64> kinds_;          // two bits for each block
  std::vector<u16> region_kept_;    // kept blocks of each region
  std::vector<u64> emptied_;        // regions
};

}  // namespace brindle::bench
