// history.h: what one seed does to a pool, as plain data: drawn first, played afterwards, so that it can be made shorter.
//
// Holds:  1. The same seed draws the same history, and leaving items out changes nothing about those that stay: each
//            brings its own seed for the order of things and for what the disk does.
//         2. What an item names need not exist: it then meets the error that the model expects, and does no harm.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/units.h"

namespace brindle::sim {

enum class Profile : u8 {
  plain,         // everything, in a pool with room
  many_lanes,    // much at once, on few blocks
  tiny_cache,    // maps far larger than the memory for them
  nearly_full,   // a pool that writes keep at its limit
  full_host,     // a pool with room, on a host without
  deletions,     // storms of clones, rollbacks and deletions, crashes amid their walks
  aging,         // overwrites under a rolling series of snapshots
  errors,        // a device that fails in ways that are told
  damage,        // a device that fails silently, or for good
};
inline constexpr u64 profiles = 9;
inline constexpr u64 part_bytes = 256 * KiB;  // what is atomic, and what longer requests are cut into
std::string_view profile_name(Profile profile);

enum class OpKind : u8 {
  read, write, zero, discard, flush,
  create, snapshot, clone, rollback, resize, rename, label, protect, remove,
  frees, measure, extents, diff, list,
  sync, scrub, check, tidy, grow, pause,
  // what the device does from now on
  fault_passing,     // the next read, write or flush fails once
  fault_reads,       // so many reads fail
  fault_writes,      // so many writes fail: the log gives up
  fault_flush,
  fault_host_full,   // until the next one
  fault_slow,        // the next few calls take long
  fault_slow_reads,  // the next few reads take long, and all else goes on
  fault_stuck,       // the next call takes as good as for ever
  fault_bad_block,   // a block that holds something cannot be read any more
  fault_lost,        // the next write is not done
  fault_misdirected,
  // the end of a phase: all lanes come to rest, or are cut short
  settle, reopen, kill, power_loss,
};
std::string_view op_name(OpKind kind);
inline bool ends_phase(OpKind kind) { return kind >= OpKind::settle; }
inline bool is_fault(OpKind kind) { return kind >= OpKind::fault_passing && kind <= OpKind::fault_misdirected; }

struct Op {
  OpKind kind = OpKind::read;
  u64 index = 0;                   // in the history as it was drawn
  u64 lane = 0;                    // operations of one lane follow each other; lanes run at once
  std::string name;                // what it is about
  std::vector<std::string> names;  // what it makes, or all that it is about
  u64 offset = 0;                  // bytes
  u64 length = 0;                  // bytes; of a pause, nanoseconds
  u64 stamp = 0;                   // of what a write writes
  bool fua = false;
  bool flag = false;               // rollback: discard; remove: with snapshots; protect: on; resize: force; reads and
                                   // writes: by the handle that the lane holds; end: opened read-only first
  // of ends of phases
  u64 moves = 0;                   // chunks that compaction empties until the crash, and then
  u64 flushes = 0;                 // of the device, and then
  u64 steps = 0;                   // of the scheduler
  bool cuts_recovery = false;      // the opening that follows is cut short as well, after
  u64 recovery_flushes = 0;
  u64 recovery_steps = 0;
  bool look = false;               // compare everything
  bool count = false;              // compare the account of space
  u64 flips = 0;                   // bits that rot while nothing has the disk open
  u64 seed = 0;
};
std::string text(const Op& op);

struct History {
  u64 seed = 0;
  Profile profile = Profile::plain;
  u64 pool_size = 96 * MiB;
  u64 memory_max = 12 * MiB;
  u64 staging = 0;      // bytes of staging memory; 0: none, the device acknowledges
  u64 busy = 0;         // see SimRuntime
  std::vector<Op> ops;  // the last one ends a phase
};

struct HistoryOptions {
  u64 seed = 1;
  std::optional<Profile> profile;  // else the seed's own
};

History draw_history(const HistoryOptions& options);
/// Those of the items whose indices are in `keep` (ascending).
History keep_only(const History& history, const std::vector<u64>& keep);

/// "0-3,7,9", as `--keep` takes it; nothing where it makes no sense.
std::string keep_text(const std::vector<u64>& keep);
std::optional<std::vector<u64>> parse_keep(std::string_view text);

}  // namespace brindle::sim
