// player.h: plays a history on the real engine, on a simulated runtime and disk, and holds what happens against the book.
//
// Holds:  1. What happens follows from the history alone: the trace of two plays of it is the same.
//         2. The first thing that is wrong ends the play; `failure` tells it.
//         3. A pool that was never damaged is verified whenever nothing has it open, and gives all space back at the end.
// Caller: one play a process, or a few: a crashed engine is left as it lay, as the dead are.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/sim_device.h"
#include "device/staged_device.h"
#include "runtime/sim_runtime.h"
#include "sim/book.h"
#include "sim/history.h"

namespace brindle::sim {

struct Played {
  u64 operations = 0;
  u64 crashes = 0;
  u64 trace = 0;                       // a hash of what happened when
  std::optional<std::string> failure;  // what was wrong
  u64 failed_at = 0;                   // index of the end of the phase in which it was
};

class Player {
 public:
  explicit Player(const History& history, bool verbose = false);
  Played play();

 private:
  struct Phase {
    std::vector<Op> ops;
    Op end;
  };

  // player.cc: phases, crashes, openings
  void play_phase(const Phase& phase);
  void begin_epoch(u64 seed, bool read_only = false);
  bool open(const Op* end);
  void look_read_only(u64 seed);
  void close();
  void crash(bool power);
  void abandon();
  void finish();
  Task<void> pause(u64 ns);
  /// When a task is cut short.
  struct Cut {
    u64 flushes = 0;  // of the device, and then
    u64 steps = 0;
    u64 moves = 0;    // chunks that compaction emptied, before both
  };
  bool run(Task<void> task, Cut cut);
  bool run_all(Task<void> task);
  template <class T>
  static Task<void> keep_result(Task<T> task, std::shared_ptr<std::optional<T>> out) {
    T value = co_await std::move(task);
    out->emplace(std::move(value));
  }
  /// What the task gives; nothing where it never ends or something failed.
  template <class T>
  std::optional<T> wait(Task<T> task) {
    const auto out = std::make_shared<std::optional<T>>();
    if (!run_all(keep_result(std::move(task), out))) return std::nullopt;
    return std::move(*out);
  }
  void fail(std::string what);
  bool failed() const { return played_.failure.has_value(); }
  void trace(u64 value) { played_.trace = (played_.trace ^ value) * 0x100000001b3; }
  void say(const std::string& line) const;

  // checks.cc: what must hold while nothing is under way
  void look_at_all();
  void look_at(const Object& object);
  void count_space();
  void verify_image();

  // lanes.cc: one operation each
  /// A handle for the operation: a new one, or the one that its lane holds; the operation is then about what that is open on.
  Result<std::shared_ptr<Handle>> handle_for(Op& op, bool read_only);
  Task<void> run_lane(std::vector<Op> ops);
  Task<void> run_op(Op op);
  Task<void> run_read(Op op);
  Task<void> run_write(Op op);
  Task<void> run_command(Op op);
  Task<Status> command(Op op, std::vector<std::string>& saved);
  Task<void> run_question(Op op);
  Task<void> run_frees(Op op, u64 at);
  Task<void> run_measure(Op op, u64 at);
  Task<void> run_extents(Op op, u64 at);
  Task<void> run_diff(Op op, u64 at);
  Task<void> run_upkeep(Op op);
  Task<void> run_check();
  bool excused(const Status& status, const Op& op);
  void result(const Op& op, const Status& status);

  History history_;
  bool verbose_;
  Played played_;
  Book book_;
  SimDisk disk_;
  SimFaults faults_;              // that outlive a process: the host's, and the disk's
  std::unique_ptr<SimRuntime> runtime_;
  std::unique_ptr<SimDevice> device_;
  AlignedBuffer staging_memory_;  // outlives a process, and no power loss
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<StagedDevice> staged_;  // over the device, where there is staging memory
  std::unique_ptr<EngineCore> engine_;
  /// A handle that stays open over many operations, whatever becomes of the volume's name.
  struct Held {
    std::shared_ptr<Handle> handle;
    EntryId object = 0;
    bool read_only = false;
  };
  std::map<u64, Held> held_;      // by lane
  Rng rot_{1};
  bool made_ = false;
  bool damaged_ = false;          // detection is all that is fair
  bool lost_write_ = false;       // since the last clean opening: the log's end may be gone
  bool unfair_ = false;           // the next opening need not have what was flushed
  bool errors_ = false;           // calls of the device fail
  bool passing_ = false;          // one call failed in this opening
  bool host_was_full_ = false;    // in this opening
  bool mislaid_ = false;          // the next opening does not find the staging memory, and a later one does
  bool refused_ = false;          // damage: the pool does not open any more
  u64 used_when_new_ = 0;
  std::string doing_;
};

}  // namespace brindle::sim
