#include "engine/load.h"

#include <cstring>

#include "base/aligned.h"

namespace brindle::bench {

Load::Load(Rig& rig, Reactor& core, std::vector<Handle*> volumes, LoadOptions options)
    : rig_(rig), core_(core), volumes_(std::move(volumes)), options_(options) {
  if (&core_ != &rig_.home()) outpost_ = rig_.engine().outpost(core_);
  for (u64 i = 0; i < volumes_.size(); ++i) {
    const u64 size = volumes_[i]->size();
    places_.emplace_back(options_.pattern, size, options_.block, options_.seed + i);
    units_left_.push_back(size / options_.block);
  }
}

Task<Status> Load::run() {
  const u64 from = now_ns();
  const bool by_count = options_.count > 0 || options_.once || options_.list != nullptr;
  warm_until_ns_ = by_count ? from : from + options_.warm_ms * millisecond_ns;
  until_ns_ = by_count ? ~u64{0} : from + options_.ms * millisecond_ns;
  measuring_ = by_count;
  measure_.begin(from);
  Gate gate(core_);
  for (u64 i = 0; i < options_.depth; ++i) gate.spawn(lane(i));
  co_await gate.close();
  measure_.end(now_ns());
  if (outpost_) {
    const Status closed = co_await outpost_->close();
    static_cast<void>(closed);
  }
  co_return status_;
}

/// Where the next request of this volume goes. False: it has had all.
bool Load::next(u64 volume, u64& unit) {
  if (options_.list != nullptr) {
    if (begun_ >= options_.list->size()) return false;
    unit = (*options_.list)[begun_++];
    return true;
  }
  if (options_.count > 0 && begun_ >= options_.count) return false;
  if (options_.once && units_left_[volume]-- == 0) {
    units_left_[volume] = 0;
    return false;
  }
  ++begun_;
  unit = places_[volume].next();
  return true;
}

Task<void> Load::lane(u64 index) {
  AlignedBuffer buffer(options_.block);
  Rng rng(options_.seed * 1000 + index);
  for (u64 at = 0; at < buffer.size(); at += sizeof(u64)) {
    const u64 word = rng.next();
    std::memcpy(buffer.data() + at, &word, sizeof word);
  }
  for (u64 at = 0; rig_.hollow() && at < buffer.size(); at += block_size) {
    std::memcpy(buffer.data() + at, HollowDevice::payload().data(), block_size);
  }
  const u64 volume = index % volumes_.size();
  u64 writes = 0;
  while (status_ && !stopped_) {
    const u64 began = now_ns();
    if (began >= until_ns_) break;
    if (!measuring_ && began >= warm_until_ns_) {
      measuring_ = true;
      measure_.begin(began);
    }
    u64 unit = 0;
    if (!next(volume, unit)) break;
    Status status = co_await request(*volumes_[volume], unit * options_.block, buffer.span());
    if (!status) status_ = status;
    if (!options_.untimed) measure_.add(now_ns() - began);
    // A read of memory ends without waiting for anything; the other lanes and the background want their turn.
    if (options_.read) co_await core_.yield();
    if (options_.flush_every > 0 && ++writes % options_.flush_every == 0) {
      Handle& at = *volumes_[volume];
      const auto flush = [&at] { return at.flush(); };
      status = co_await on(rig_.home(), core_, flush);
      if (!status) status_ = status;
    }
  }
}

Task<Status> Load::request(Handle& volume, u64 offset, MutBytes buffer) {
  if (options_.read) return outpost_ ? outpost_->read(volume, offset, buffer) : volume.read(offset, buffer);
  return outpost_ ? outpost_->write(volume, offset, buffer, options_.fua) : volume.write(offset, buffer, options_.fua);
}

}  // namespace brindle::bench
