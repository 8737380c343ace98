// states.h: every disk that a crash may leave, point by point of a history.
//
// At each point between two events of the device the changes that no flush covers may each be on the disk, or not, or in part:
//
//   durable ─────────────► │ A (completed) │ B (under way) │ C (under way) │  crash
//   always there             kept, dropped, torn: any combination
//
// Holds:  1. Up to `subset_changes` changes: every subset of them. Beyond: all but at most two, none but at most two, and
//            every beginning; such points are counted (`bounded`).
//         2. One change of each combination may be torn, at sectors of 512 bytes: its first or last sector, its first or last
//            block, half, all but one sector or one block. The others are then every subset where they are few (`torn_others`),
//            else all of them, none, or those before it.
//         3. Changes that are kept take effect in the order in which they were asked for.
//         4. When all completed changes are kept, the state is also what the death of the process alone may leave.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "crash/recorder.h"

namespace brindle::crash {

/// How much of a change is on the disk: sectors [from, to), or all but these.
struct Fate {
  u32 from = 0;
  u32 to = 0;
  bool inverse = false;
};

/// A state that a crash may leave, as it is offered to the explorer.
struct CrashState {
  u64 hash = 0;
  size_t point = 0;      // number of the event before it
  size_t choice = 0;     // at this point
  bool process = false;  // the death of the process leaves it, not only a power loss
  Event bounds{};        // durable, known and newest at this point
};

class States {
 public:
  static constexpr size_t subset_changes = 8;
  static constexpr size_t torn_others = 4;

  /// States after the events from `first_event` on. The first event of a history is the beginning of an operation.
  States(const Image& start, const History& history, size_t first_event, Shelf& shelf);

  /// Calls `visit` with every state, equal ones included, and while it runs `image` makes the one at hand.
  template <class Visit>
  void each(Visit visit);
  Image image() const;
  /// The changes that are not durable at the state at hand, and how much of each there is.
  std::string describe() const;
  u64 bounded() const { return bounded_; }

 private:
  struct Pending {
    u64 number;
    const DiskChange* change;
    bool completed = false;
    bool durable = false;
    std::vector<size_t> slots;  // of touched_, for each block
  };
  void take(const Event& event);
  void fold();
  void prepare();
  std::vector<std::vector<Fate>> combinations();
  void add_torn(std::vector<std::vector<Fate>>& out) const;
  void lay(const std::vector<Fate>& fates);
  const Stored* torn(const Stored* before, const Stored* after, u32 from, u32 to, bool inverse);
  static Fate kept(const DiskChange& change) { return {0, static_cast<u32>(change.blocks.size() * sectors_a_block), false}; }

  static constexpr u64 sector_size = 512;
  static constexpr u32 sectors_a_block = block_size / sector_size;

  const History& history_;
  size_t first_event_;
  Shelf& shelf_;
  Image base_;             // all that is durable
  u64 base_hash_;
  std::vector<Pending> pending_;  // in the order in which they were asked for
  std::vector<size_t> open_;      // of pending_: not durable
  std::vector<u64> touched_;      // blocks that pending changes touch
  std::vector<const Stored*> now_;  // what they hold in the state at hand
  u64 size_now_ = 0;
  u64 hash_now_ = 0;
  std::vector<Fate> fates_;
  std::map<std::tuple<const Stored*, const Stored*, u32, u32, bool>, const Stored*> torn_;
  u64 bounded_ = 0;
  Event bounds_{};
};

template <class Visit>
void States::each(Visit visit) {
  for (size_t point = 0; point < history_.events.size(); ++point) {
    const Event& event = history_.events[point];
    take(event);
    if (point < first_event_) continue;
    // A change that is durable now allows fewer states than before, an operation that ended promises more.
    prepare();
    size_t choice = 0;
    for (const std::vector<Fate>& fates : combinations()) {
      lay(fates);
      bool process = true;
      for (size_t i = 0; i < open_.size(); ++i) {
        const Pending& one = pending_[open_[i]];
        const Fate whole = kept(*one.change);
        if (one.completed && (fates[i].from != 0 || fates[i].to != whole.to || fates[i].inverse)) process = false;
      }
      const bool go_on = visit(CrashState{hash_now_, point, choice++, process, bounds_});
      if (!go_on) return;
    }
  }
}

}  // namespace brindle::crash
