#include "device/device_set.h"

#include <algorithm>

#include <fmt/format.h>

#include "device/vectors.h"

namespace brindle {

DeviceSet::DeviceSet(Runtime& runtime, Layout layout, std::vector<Member> members, Keep keep)
    : runtime_(runtime), layout_(std::move(layout)), keep_(std::move(keep)), growing_(runtime) {
  CHECK(members.size() == layout_.members());
  for (const Member& member : members) members_.push_back({member.device, member.grows});
  measure();
}

void DeviceSet::measure() {
  std::vector<u64> sizes;
  for (const Slot& member : members_) sizes.push_back(member.device->size());
  size_ = layout_.reach(sizes);
}

std::string DeviceSet::name() const {
  std::string all;
  for (const Slot& member : members_) all += (all.empty() ? "" : " + ") + member.device->name();
  return all;
}

std::string DeviceSet::name_at(u64 offset) const {
  return offset < layout_.size() ? members_[layout_.locate(offset).member].device->name() : name();
}

std::vector<DevicePart> DeviceSet::parts() const {
  std::vector<DevicePart> parts;
  for (u32 i = 0; i < members_.size(); ++i) {
    parts.push_back({members_[i].device->name(), members_[i].device->size(), layout_.bytes_of(i)});
  }
  return parts;
}

// --- reading and writing --------------------------------------------------------------------------------------------

std::vector<DeviceSet::Part> DeviceSet::split(u64 offset, std::span<const iovec> vectors) const {
  std::vector<Part> parts;
  u64 run = 0;  // of the last part, what it can still take
  for (const iovec& vector : vectors) {
    auto* at = static_cast<std::byte*>(vector.iov_base);
    for (u64 left = vector.iov_len; left > 0;) {
      if (run == 0) {
        const Layout::Place place = layout_.locate(offset);
        parts.push_back({place.member, place.offset, {}});
        run = place.run;
      }
      const u64 size = std::min(left, run);
      parts.back().vectors.push_back({at, size});
      at += size;
      offset += size;
      left -= size;
      run -= size;
    }
  }
  return parts;
}

Task<void> DeviceSet::do_part(const Part& part, bool writes, Status& status) {
  Status done;
  if (writes) {
    done = co_await write_in(part.member, part.offset, part.vectors);
  } else {
    done = co_await members_[part.member].device->read(part.offset, part.vectors);
  }
  if (!done) status = done;
}

Task<Status> DeviceSet::do_parts(std::vector<Part> parts, bool writes) {
  Status status;
  Gate gate(runtime_);
  for (const Part& part : parts) gate.spawn(do_part(part, writes, status));
  co_await gate.close();
  co_return status;
}

// Nearly everything lies on one member: it is asked right away, with no coroutine between.
Task<Status> DeviceSet::read(u64 offset, std::span<const iovec> into) {
  const Layout::Place place = layout_.locate(offset);
  if (total_bytes(into) <= place.run) return members_[place.member].device->read(place.offset, into);
  return do_parts(split(offset, into), false);
}

Task<Status> DeviceSet::write(u64 offset, std::span<const iovec> from) {
  const Layout::Place place = layout_.locate(offset);
  if (total_bytes(from) <= place.run) return write_in(place.member, place.offset, from);
  return do_parts(split(offset, from), true);
}

Task<Status> DeviceSet::write_in(u32 member, u64 offset, std::span<const iovec> from) {
  Status status = co_await members_[member].device->write(offset, from);
  ++members_[member].written;  // one that failed may have changed something too
  co_return status;
}

// --- flushing -------------------------------------------------------------------------------------------------------

Task<void> DeviceSet::flush_member(u32 member, Status& status) {
  Slot& slot = members_[member];
  const u64 written = slot.written;
  const Status done = co_await slot.device->flush();
  if (done) slot.flushed = std::max(slot.flushed, written);
  if (!done) status = done;
}

Task<Status> DeviceSet::flush() {
  Status status;
  Gate gate(runtime_);
  for (u32 i = 0; i < members_.size(); ++i) {
    // One whose flush is under way has not flushed yet: it is asked again.
    if (members_[i].flushed < members_[i].written) gate.spawn(flush_member(i, status));
  }
  co_await gate.close();
  co_return status;
}

// --- space ----------------------------------------------------------------------------------------------------------

Task<Status> DeviceSet::punch(u64 offset, u64 length) {
  for (u64 done = 0; done < length;) {
    const Layout::Place place = layout_.locate(offset + done);
    const u64 size = std::min(place.run, length - done);
    Status status = co_await members_[place.member].device->punch(place.offset, size);
    ++members_[place.member].written;
    if (!status) co_return status;
    done += size;
  }
  co_return Status{};
}

Task<Status> DeviceSet::fill(u64 offset, u64 length) {
  CHECK(offset + length <= size_max());
  for (u64 done = 0; done < length;) {
    const Layout::Place place = layout_.locate(offset + done);
    const u64 size = std::min(place.run, length - done);
    Status status = co_await members_[place.member].device->fill(place.offset, size);
    ++members_[place.member].written;
    measure();
    if (!status) co_return status;
    done += size;
  }
  co_return Status{};
}

Task<Status> DeviceSet::set_size_max(u64 bytes) {
  co_await growing_.acquire();
  Status status;
  const u64 growing = static_cast<u64>(std::ranges::count(members_, true, &Slot::grows));
  if (bytes > layout_.size()) {
    if (growing == 0 || !keep_) {
      status = Error{Code::invalid, fmt::format("{}: block devices are as large as they are", name())};
    } else {
      // Each gives the same, so that they go on side by side.
      const u64 more = div_up(div_up(bytes - layout_.size(), layout_.unit()), growing);
      std::vector<u64> rows;
      for (const Slot& member : members_) rows.push_back(member.grows ? more : 0);
      Layout longer = layout_;
      status = longer.extend(std::move(rows));
      for (u32 i = 0; i < members_.size() && status; ++i) {
        if (members_[i].grows) status = co_await members_[i].device->set_size_max(longer.bytes_of(i));
      }
      if (status) status = co_await keep_(longer);
      if (status) layout_ = std::move(longer);
    }
  }
  growing_.release();
  co_return status;
}

}  // namespace brindle
