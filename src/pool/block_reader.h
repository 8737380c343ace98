// block_reader.h: blocks whose places are known, read from the device and compared with their checksums.
//
// Holds:  neighbours on the device are read together; an error that passes costs only time.
// Caller: any core, with a reader of its own. Until the end nothing may be put where the blocks lie: a ReadGuard on the pool's
//         home core sees to it.
// Fails:  io, corrupt (some are damaged, and marked).
#pragma once

#include <span>

#include "device/device.h"
#include "format/name.h"
#include "runtime/runtime.h"

namespace brindle {

/// One block to read: its name, what it must hash to, where it goes, and where it lies.
struct BlockRead {
  SlotName name;
  u32 crc = 0;
  std::byte* into = nullptr;
  bool damaged = false;  // set where the checksum is wrong
  u64 offset = 0;        // on the device; told by the pool
};

Task<Status> read_placed(Runtime& runtime, DeviceReader& device, std::span<BlockRead> blocks);

}  // namespace brindle
