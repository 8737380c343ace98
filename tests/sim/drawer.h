// drawer.h: draws the history of a seed.
//
// Holds:  1. Where an expression draws twice, it is written so that the order is given: every compiler draws the same history.
//         2. Operations are drawn against the drawer's own idea of what there will be. Where the play goes another way (an operation
//            fails, a power loss takes a volume back), names lead nowhere, and that is played as well.
// Files:  drawer.cc: phases, and what there will be; drawer_ops.cc: single operations; drawer_scenes.cc: series of them.
#pragma once

#include <map>
#include <set>

#include "sim/history.h"

namespace brindle::sim {

class Drawer {
 public:
  explicit Drawer(const HistoryOptions& options);
  History draw();

 private:
  static constexpr size_t entries_max = 22;
  static constexpr u64 places_of_large = 40;  // of a volume of many leaves
  static constexpr u64 blocks_max = 1400;     // of an ordinary volume: a little less than three leaves

  struct Volume {
    u64 size = 0;
    std::set<std::string> snapshots;  // own names
    u64 saved = 0;
    bool deleted = false;
  };

  bool profile(Profile which) const { return history_.profile == which; }
  void push(Op op);
  /// How a phase ends.
  Op end(u64 phase, bool last);

  // --- what there will be
  size_t entries() const;
  bool crowded() const { return entries() >= entries_max; }
  std::vector<std::string> list(bool of_volumes, bool of_snapshots, bool of_deleted = true) const;
  /// One of them; now and then a name that nothing has.
  std::string pick(const std::vector<std::string>& from);
  std::vector<std::string> some(const std::vector<std::string>& from, u64 at_most);
  static std::string volume_of(const std::string& name) { return name.substr(0, name.find('@')); }
  static std::string own_name(const std::string& snapshot) { return snapshot.substr(snapshot.find('@') + 1); }
  /// Bytes; of what there is not, sixteen blocks.
  u64 size_of(const std::string& name);
  /// A block that is met again: the same one for the same number, in every volume of that many blocks.
  u64 place(u64 number, u64 blocks) const;

  // --- single operations
  Op any();
  void range(Op& op);
  Op write();
  Op ask();
  u64 draw_size();
  Op create();
  Op command();
  Op snapshot();
  Op clone();
  Op rollback();
  Op resize();
  Op rename();
  Op mark();
  Op remove();
  Op upkeep();
  Op fault();

  // --- series of them
  /// Most of what a small pool can hold, so that what follows meets its limit.
  void fill();
  /// Short writes all over the volume that fills the pool, so many that compaction has to make the room for them.
  void wear();
  /// Long writes of all lanes at once, on a host that may just have become full.
  void burst();
  /// Short writes over leaves that are not in memory after an opening (which looks at nothing), and a checkpoint that has to
  /// read them then.
  void misread();
  /// A volume with blocks in many leaves, and snapshots of it that differ in many: walks over them take their time.
  void spread();
  /// Deletions that stall, and are overtaken by those of their children, which stall in their turn.
  void overtake();
  void write_places(const std::string& volume, u64 all_but_one_in);
  /// Neighbours among the snapshots of a volume go, and a checkpoint begins; then comes the end, wherever the walks are.
  void retire();
  /// One volume that is overwritten at random, a snapshot every so often, the oldest going: for as long as there is time.
  History draw_aging();

  History history_;
  Rng rng_;
  std::map<std::string, Volume> volumes_;
  std::set<std::string> protected_;
  bool wears_out_ = false;  // short writes keep the pool at its limit
  std::string filler_;      // the volume that fills it
  u64 lanes_ = 1;
  u64 stamp_ = 0;
  u64 made_ = 0;
  u64 history_grow_ = 0;
  bool storm_ = false;
};

}  // namespace brindle::sim
