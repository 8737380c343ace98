// faults.h: the fault policy: what the simulated device and the world around it do to a pool, and what is fair to expect.
//
// To be survived: nothing is lost, nothing is wrong, and every call returns.
//
//   kill -9 at any moment        every acknowledged request is there, flushed or not; writes under way reach the disk in any
//                                sectors of 512 bytes, or not at all
//   power loss at any moment     all volumes and snapshots stand at one and the same moment, not before the last flush (FUA,
//                                command, sync) that was acknowledged; of the writes that no flush covered any subset is
//                                kept, dropped, or torn at 512 bytes, in any order
//   staging memory               where writes are acknowledged from it: it survives a kill, and no power loss. Where it is not found
//                                after a kill, that was a power loss; found later, it is from another opening and counts for nothing
//   a crash while opening        as above; also a power loss behind a kill, before the recovery has flushed
//   a call that fails once       costs time only: reads, writes of the log and of checkpoints are tried again
//   several reads fail           reads and what needs them may fail with io; space that could not be counted comes back later
//   the host is full             what needs space is refused with no_space; reads, flushes and deletions go on
//   slow and stuck calls         cost time only; others do not wait for them for ever. What a slow read is about may be
//                                overwritten, freed and written again meanwhile
//   writes fail, a flush fails   the pool latches: changes fail with io or read_only, reads go on; what failed may or may not
//                                be there after the next start, wholly or not at all (up to 256 KiB). A flush that fails lets
//                                go of some of what it was to make durable, as Linux does: it is read until the process ends
//                                and gone then. So the next start, after whatever end, is like one after a power loss
//
// To be detected only: every read returns what was written, or an error (io, corrupt); commands and writes may fail; the
// pool may latch; opening may fail, or give a read-only pool that stands at an earlier moment and says so. Never wrong data,
// never a crash of the program, never a hang.
//
//   a block that cannot be read  the data in it is gone, and what a table or map in it leads to
//   bits that rot at rest        in any kind of structure: superblock, batch, data, page, table, header
//   a lost or misdirected write  a crash after it may also cost the end of the log, silently, where nothing behind the batch
//                                tells that it was there
//
// After the first of these the account of space and the verifier's clean report are not expected any more.
//
// The one unfair pair: power loss that takes the marker of a flush (written within some tens of milliseconds behind it, and
// itself behind that flush) together with rot of the last batch. Nothing is left then that tells the rotten batch from one
// that was never finished. So bits rot here only after the pool was quiet for longer than that; and after a power loss, with
// several bits at once (the marker's among them), behind a write that is stuck, or on a pool that had latched before its marker,
// the end of the log may be gone. What was acknowledged and never flushed has no marker: rot may take it after a kill, too.
#pragma once

#include "base/rng.h"
#include "device/sim_device.h"
#include "sim/history.h"

namespace brindle::sim {

inline constexpr u64 quiet_before_rot_ns = 200 * millisecond_ns;  // any marker is written by then
inline constexpr u64 stuck_ns = 600 * second_ns;

/// Does to the device what the operation says; true: from now on detection is all that is fair.
inline bool cause(const Op& op, SimDisk& disk, SimFaults& faults) {
  switch (op.kind) {
    case OpKind::fault_passing: (op.stamp == 0 ? faults.failing_reads : faults.failing_writes) = 1; return false;
    case OpKind::fault_reads: faults.failing_reads = op.stamp; return false;
    case OpKind::fault_writes: faults.failing_writes = op.stamp; return false;
    case OpKind::fault_flush:
      faults.failing_flushes = 1;
      faults.flushes_let_go = true;
      return false;
    case OpKind::fault_host_full: faults.host_full = !faults.host_full; return false;
    case OpKind::fault_slow:
      faults.slow_calls = op.stamp;
      faults.slow_ns = op.length;
      return false;
    case OpKind::fault_slow_reads:
      faults.slow_reads = op.stamp;
      faults.slow_ns = op.length;
      return false;
    case OpKind::fault_stuck:
      faults.slow_calls = 1;
      faults.slow_ns = stuck_ns;
      return false;
    case OpKind::fault_bad_block:
      if (!disk.blocks.empty()) {
        auto at = disk.blocks.begin();
        std::advance(at, op.stamp % disk.blocks.size());
        faults.bad_blocks.insert(at->first);
      }
      return true;
    case OpKind::fault_lost: faults.lost_writes = 1; return true;
    case OpKind::fault_misdirected: faults.misdirected_writes = 1; return true;
    default: return false;
  }
}

/// Flips a bit of a superblock, a table, a page, a batch or anything else that holds something: the kind is drawn first,
/// since nearly all of a disk is data.
void rot(SimDisk& disk, Rng& rng);

}  // namespace brindle::sim
