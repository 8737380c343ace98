// device_set.h: several devices as one: what a pool of several --pool lies on.
//
// Holds:  1. `flush` is good only if it is good on every member that was written since its last good flush. They flush at once.
//         2. `size` reaches as far as every unit before it is there: what one member lacks ends it.
//         3. A longer layout counts only when `keep` has made it durable.
// Caller: the home core of the members' runtime. The members must outlive it.
// Fails:  as the member; its name is in the message.
#pragma once

#include <functional>

#include "device/device.h"
#include "device/layout.h"
#include "runtime/sync.h"

namespace brindle {

class DeviceSet final : public Device {
 public:
  struct Member {
    Device* device = nullptr;
    bool grows = false;  // a file, which may become larger
  };
  /// Writes the layout to every member, durably.
  using Keep = std::function<Task<Status>(const Layout&)>;

  /// `keep` may be empty: then the set never grows.
  DeviceSet(Runtime& runtime, Layout layout, std::vector<Member> members, Keep keep);

  const Layout& layout() const { return layout_; }
  u64 size() const override { return size_; }
  u64 size_max() const override { return layout_.size(); }
  Task<Status> read(u64 offset, std::span<const iovec> into) override;
  Task<Status> write(u64 offset, std::span<const iovec> from) override;
  Task<Status> flush() override;
  Task<Status> punch(u64 offset, u64 length) override;
  Task<Status> fill(u64 offset, u64 length) override;
  /// Shares out what is more among the members that grow. It never becomes less.
  Task<Status> set_size_max(u64 bytes) override;
  std::string name() const override;
  std::string name_at(u64 offset) const override;
  std::vector<DevicePart> parts() const override;

 private:
  struct Slot {
    Device* device;
    bool grows;
    u64 written = 1;  // rises with every change; what a dead process wrote counts as one
    u64 flushed = 0;  // the changes up to here are durable
  };
  struct Part {
    u32 member;
    u64 offset;
    std::vector<iovec> vectors;
  };
  std::vector<Part> split(u64 offset, std::span<const iovec> vectors) const;
  Task<Status> write_in(u32 member, u64 offset, std::span<const iovec> from);
  Task<Status> do_parts(std::vector<Part> parts, bool writes);
  Task<void> do_part(const Part& part, bool writes, Status& status);
  Task<void> flush_member(u32 member, Status& status);
  void measure();

  Runtime& runtime_;
  Layout layout_;
  std::vector<Slot> members_;
  Keep keep_;
  u64 size_ = 0;
  Mutex growing_;
};

}  // namespace brindle
