// recorder.h: a disk in memory that writes down everything that is asked of it: the history from which crash states are made.
//
// Holds:  1. A completed write is seen by later reads. It is durable once a flush that was asked for after its completion has
//            completed. A fill is durable when it completes; a hole (punch) when a flush covers it.
//         2. Changes complete in the order in which they were asked for, after a latency that is always the same.
//         3. Without a history the disk completes everything at once and writes nothing down.
// Caller: the runtime's thread. The image outlives the device.
#pragma once

#include <map>
#include <vector>

#include "crash/image.h"
#include "device/device.h"
#include "runtime/runtime.h"

namespace brindle::crash {

/// One request that changes the disk.
struct DiskChange {
  enum class Kind : u8 { write, fill, punch };
  Kind kind = Kind::write;
  u64 first_block = 0;
  std::vector<const Stored*> blocks;  // what they become
};

enum class EventKind : u8 {
  asked,      // of a change: it may reach the disk from here on
  completed,  // of a change
  durable,    // of a change
  gone,       // the process died before the change completed, and it never reached the disk
  begun,      // of an operation: what it does may be seen after a crash
  ended,      // of an operation: it was acknowledged
};

struct Event {
  EventKind kind;
  u64 number = 0;   // of the change
  // Of the moments that the pool passes through (see workload.h), the bounds from this event on:
  u64 durable = 0;  // a power loss goes back to this one at most
  u64 known = 0;    // the death of the process to this one
  u64 newest = 0;   // nothing later is possible
};

struct History {
  std::vector<DiskChange> changes;
  std::vector<Event> events;
};

class Recorder final : public Device {
 public:
  Recorder(Runtime& runtime, Image& image, Shelf& shelf, History* history)
      : runtime_(runtime), image_(image), shelf_(shelf), history_(history) {}

  u64 size() const override { return image_.size; }
  u64 size_max() const override { return image_.blocks.size() * block_size; }
  Task<Status> read(u64 offset, std::span<const iovec> into) override;
  Task<Status> write(u64 offset, std::span<const iovec> from) override;
  Task<Status> flush() override;
  Task<Status> punch(u64 offset, u64 length) override;
  Task<Status> fill(u64 offset, u64 length) override;
  Task<Status> set_size_max(u64 bytes) override;
  std::string name() const override { return "recorder"; }

  /// The process dies: what is under way never happens, and what it still does goes to `image` and into no history.
  void die(Image& image);
  /// What the device before this one left without a flush: the next flush covers it too.
  void inherit(const Recorder& before);
  u64 flushes() const { return flushes_; }

 private:
  Task<Status> change(DiskChange::Kind kind, u64 offset, std::vector<const Stored*> blocks);
  void apply(const DiskChange& change);
  Image& image() { return dead_ != nullptr ? *dead_ : image_; }

  // A flush takes longer than a write, as on real disks: writes that come while it runs complete before it, uncovered.
  static constexpr u64 latency_ns = 20 * microsecond_ns;
  static constexpr u64 flush_ns = 100 * microsecond_ns;
  Runtime& runtime_;
  Image& image_;
  Image* dead_ = nullptr;
  Shelf& shelf_;
  History* history_;
  std::map<u64, bool> volatile_;  // change -> has completed; of those that no flush covers
  u64 flushes_ = 0;
};

}  // namespace brindle::crash
