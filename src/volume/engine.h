// engine.h: one open pool with its volumes and snapshots; what faces, control and tests call.
//
// Holds:  1. Every call is made on the engine's runtime (its home core); others use `on` (remote.h) or an outpost.
//         2. A command that returned ok is durable, all of it; one that failed changed nothing.
//         3. Names in calls are `volume` or `volume@snapshot`; they are checked here, whoever asks.
// Fails:  as each call says; `read_only` for any change once the pool latched, `stopping` after close() began.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "base/uuid.h"
#include "device/device.h"
#include "runtime/runtime.h"
#include "runtime/task.h"

namespace brindle {

using Labels = std::map<std::string, std::string>;

/// A volume or a snapshot, as lists and `show` give it.
struct EntryInfo {
  u64 id = 0;                        // within this pool, for life
  std::string name;                  // "db" or "db@monday"
  std::string uuid;                  // for life
  bool is_snapshot = false;
  std::string volume;                // of a snapshot: its volume's name
  u64 size = 0;                      // bytes
  std::string origin;                // a clone's or a rolled-back volume's snapshot, "" when none or gone
  u64 created_ns = 0;                // since 1970
  std::optional<u64> referenced;     // bytes of data reachable
  std::optional<u64> exclusive;      // bytes that deleting it alone would free
  u64 clients = 0;                   // open handles (NBD connections, attachments)
  u64 writers = 0;                   // of these, those that may write
  bool is_protected = false;
  bool deleted = false;              // a volume that was deleted while snapshots of it remain: only its name is left
  Labels labels;
};

/// Which volumes, or which snapshots, a list is about.
struct ListQuery {
  bool snapshots = false;
  std::string volume;  // snapshots of this one only; "" for all
  Labels labels;       // that an entry must have
};
enum class ListKey : u8 { name, size, created, referenced, exclusive };

/// One entry of a list: as small as can be, since a pool may have hundreds of thousands.
struct ListItem {
  u64 id = 0;   // for EntryInfo: Engine::infos
  u64 key = 0;  // what the list is sorted by; the greatest number where it is not known; 0 for names
};
/// A part of a list, in the order of names, and where the next part begins.
struct ListPiece {
  std::vector<ListItem> items;
  std::string next;  // the name to go on behind; "" at the end
};

/// Who descends from whom. A volume's parent is the snapshot that it continues, a snapshot's the one before it.
struct TreeNode {
  u64 id = 0;
  u64 parent = 0;  // 0: the eldest of its family
};

struct Extent {
  u64 length = 0;    // bytes
  bool data = false; // false: a hole that reads as zeroes
};

enum class Change : u8 { data, zero };  // in B compared with A: holds other data, or is a hole now
struct DiffRange {
  u64 offset = 0;  // bytes
  u64 length = 0;
  Change kind = Change::data;
};

struct DamageRange {
  std::string volume;  // the volume or snapshot that holds it; "" for the pool's own structures
  u64 offset = 0;      // bytes within it
  u64 length = 0;
  std::string kind;    // "checksum", "io", "map", "table", "space", "log"
};

struct PoolStatus {
  std::string path;
  std::vector<DevicePart> members;  // one, or those of a pool that lies on several; size_max: what it may grow to
  std::string uuid;
  u64 size = 0;         // bytes that the pool may grow to
  u64 allocated = 0;    // bytes that the device has now
  u64 used = 0;
  u64 reclaiming = 0;
  u64 free = 0;
  u64 volumes = 0;
  u64 snapshots = 0;
  bool writable = true;
  std::string health;   // "ok", or why not
  u64 cache_bytes = 0;
  u64 segment_bytes = 0;  // of memory for the table that tells where blocks lie
  u64 memory_max = 0;
  u64 cache_hits = 0;
  u64 cache_misses = 0;
  u64 reads = 0, read_bytes = 0, writes = 0, write_bytes = 0, flushes = 0;  // since the start
  u64 device_written = 0, device_read = 0;                                  // bytes since the start
  u64 log_bytes = 0;          // what replay would read
  u64 checkpoints = 0;
  u64 replayed_batches = 0;   // at the start
  u64 replay_us = 0;
  bool staged = false;        // writes are acknowledged from staging memory
  u64 unstaged_bytes = 0;     // that it held at the start
  bool was_staged = false;    // the opening before staged, and was not closed in order
};

/// An open volume or snapshot: what a face holds for one connection. Renaming does not disturb it; after a forced
/// deletion every call fails with not_found.
class Handle {
 public:
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  virtual ~Handle() = default;

  virtual u64 size() const = 0;        // bytes; follows a resize
  virtual bool read_only() const = 0;  // a snapshot, or opened so
  virtual std::string name() const = 0;

  /// Reads [offset, offset + into.size()): any alignment, up to 32 MiB. Of up to 256 KiB never mixes old and new.
  virtual Task<Status> read(u64 offset, MutBytes into) = 0;
  /// Writes; returns when the pool has it. Up to 256 KiB are atomic. `fua`: durable on return. `from` must stay until then.
  virtual Task<Status> write(u64 offset, Bytes from, bool fua) = 0;
  /// Makes the range read as zeroes and gives its whole blocks back.
  virtual Task<Status> zero(u64 offset, u64 length, bool fua) = 0;
  /// As zero, but as advice: on a pool too full to record it, it does nothing and returns ok.
  virtual Task<Status> discard(u64 offset, u64 length, bool fua) = 0;
  /// All writes that have completed are durable when it returns.
  virtual Task<Status> flush() = 0;
  /// Holes and data from `offset` on, at most `count_max` extents that together cover at most `length`.
  virtual Task<Result<std::vector<Extent>>> extents(u64 offset, u64 length, u64 count_max) = 0;
};

struct EngineOptions {
  bool create = false;            // make a new pool on the device, whatever it holds (the caller has looked)
  bool read_only = false;
  u64 memory_max = 256 * MiB;
  // Tests want these smaller.
  u32 reads_before_merge = 256;  // see Maps
  u64 names_at_once = 4096;      // see PoolOptions
  std::optional<Uuid> uuid{};  // of a new pool; of one that is there, what it must be
};

class Outpost;
class Reactor;

class Engine {
 public:
  /// Opens the pool on `device`, replays what the last checkpoint lacks, starts background work.
  /// Fails: invalid (not a pool), unsupported (a newer version), corrupt (with what to do), io.
  static Task<Result<std::unique_ptr<Engine>>> open(Runtime& runtime, Device& device, EngineOptions options);
  virtual ~Engine() = default;
  /// Finishes requests under way, checkpoints, and stops. The engine may then be destroyed. Fails: what the pool latched for meanwhile.
  virtual Task<Status> close() = 0;

  // --- opening
  virtual Result<std::unique_ptr<Handle>> open_handle(std::string_view name, bool read_only) = 0;
  /// For reads and writes from another core (outpost.h). From any thread; it must end before the engine closes.
  virtual std::unique_ptr<Outpost> outpost(Reactor& core) = 0;

  // --- commands: durable when they return
  virtual Task<Result<EntryInfo>> volume_create(std::string name, u64 size, Labels labels) = 0;
  virtual Task<Status> volume_resize(std::string name, u64 size, bool force) = 0;
  /// `from` and `to` both volumes, or both snapshots of one volume.
  virtual Task<Status> rename(std::string from, std::string to) = 0;
  virtual Task<Status> snapshot_create(std::vector<std::string> names, Labels labels) = 0;
  virtual Task<Status> snapshot_protect(std::string name, bool on) = 0;
  virtual Task<Status> clone(std::string source, std::vector<std::string> names, Labels labels) = 0;
  /// Returns the snapshots that keep what the volumes held before, in order; none with `discard`.
  virtual Task<Result<std::vector<std::string>>> rollback(std::vector<std::string> snapshots, bool discard,
                                                          bool force) = 0;
  /// Volumes and snapshots, all or none. `with_snapshots`: those of the named volumes too.
  virtual Task<Status> remove(std::vector<std::string> names, bool with_snapshots, bool force) = 0;
  /// The whole new set.
  virtual Task<Status> set_labels(std::string name, Labels labels) = 0;
  /// Sets some and removes others (one that is not there, too); what is in neither stays, whoever else changes labels meanwhile.
  virtual Task<Status> change_labels(std::string name, Labels set, std::vector<std::string> removed) = 0;

  // --- questions
  virtual Result<EntryInfo> show(std::string_view name) = 0;
  /// All volumes, or all snapshots (of `volume` where that is not empty), by name.
  virtual std::vector<EntryInfo> list(bool snapshots, std::string_view volume) = 0;
  /// The same in pieces, so that a list of any length never keeps the home core long: looks at up to `count_max` entries
  /// behind the name `after` ("" at first).
  virtual ListPiece list_piece(ListQuery query, ListKey key, std::string after, u64 count_max) = 0;
  /// Those of the entries that still are there, in the order of `ids`.
  virtual std::vector<EntryInfo> infos(std::vector<u64> ids) = 0;
  /// Every volume and snapshot with its parent, parents first, the older before the younger.
  virtual std::vector<TreeNode> tree() = 0;
  /// As show, with `referenced` and `exclusive` counted by a walk.
  virtual Task<Result<EntryInfo>> measure(std::string name) = 0;
  /// Bytes of data that removing exactly this set would free.
  virtual Task<Result<u64>> frees(std::vector<std::string> names, bool with_snapshots) = 0;
  virtual Task<Result<std::vector<DiffRange>>> diff(std::string from, std::string to) = 0;
  virtual PoolStatus status() = 0;

  // --- upkeep
  /// Checkpoints, finishes all reclaim, and returns when `used` is exact.
  virtual Task<Status> sync() = 0;
  virtual Task<Status> pool_grow(u64 size) = 0;
  /// While it lives, nothing that the newest durable checkpoint names is given again: what a verifier reads beside the
  /// running engine. What is freed meanwhile stays taken, so let go of it when done; close() waits for it.
  class Hold {
   public:
    Hold() = default;
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    virtual ~Hold() = default;
    /// The pool is full, and a write has waited for the end of this for some seconds.
    virtual bool in_the_way() const { return false; }
  };
  /// Checkpoints (a pool that is read-only stays as it is), and holds.
  virtual Task<Result<std::unique_ptr<Hold>>> hold_checkpoint() = 0;
  struct Progress {
    u64 done = 0;  // bytes, as the next three
    u64 total = 0;
    u64 rewritten = 0;  // by tidy
    u64 shared = 0;     // tidy: scattered, and left so, since a snapshot holds it as well
    bool stop = false;  // set by the caller to end early
  };
  /// Writes what lies scattered in these volumes (all for none) once more, in order. What snapshots hold as well stays.
  /// Fails: no_space, read_only, cancelled; not_found or invalid, and nothing was done.
  virtual Task<Status> tidy(std::vector<std::string> names, Progress* progress) = 0;
  /// Reads every live block back and compares checksums.
  virtual Task<Result<std::vector<DamageRange>>> scrub(Progress* progress) = 0;
};

}  // namespace brindle
