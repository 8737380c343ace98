// detach.h: takes an attachment apart: mounts, device, serving process, FUSE, records.
//
// Caller: attach.cc, with the place's lock.
#pragma once

#include "base/result.h"
#include "serve/attach/attach.h"

namespace brindle::attach {

/// As detach() in attach.h, with the lock held. Fails: busy, io; then the device is still there and works.
Status detach_locked(const Attachment& attachment, bool force);

/// The kernel has nothing of it any more, neither a device nor a mount: the records alone are left.
bool is_remnant(const Place& place);

/// The serving process is dead, and the device works nevertheless.
bool outlived_its_process(const Place& place);

}  // namespace brindle::attach
