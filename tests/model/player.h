// player.h: plays random operations on an engine and on the model at once, crashes, and compares.
//
// Holds:  everything that happens follows from the seed.
#pragma once

#include "model/model.h"
#include "model/world.h"

namespace brindle::model {

struct PlayerOptions {
  u64 seed = 1;
  u64 rounds = 60;           // of operations
  bool power_loss = true;    // else every crash is a kill
  u64 pool_size = 96 * MiB;
  bool check_always = false; // the account, after every step
};

class Player {
 public:
  explicit Player(PlayerOptions options);
  /// Plays to the end, checks that all space comes back, and closes.
  void play();
  std::string told() const { return told_; }

 private:
  struct Write {
    std::string volume;
    u64 offset = 0;
    std::string bytes;  // empty: zeroes
    u64 length = 0;
    bool discard = false;
    bool ok = false;
    bool done = false;
  };

  void open();
  void step();
  void write_some();
  Task<void> issue(Handle& handle, Write& write);
  void command();
  void ask();
  void crash();
  void crash_under_writes();
  void power_loss_in_order();
  void check_all(const State& against);
  void check_space();
  State engine_state();
  std::vector<std::string> names(bool volumes, bool snapshots);
  std::string pick(const std::vector<std::string>& from) { return from[rng_.below(from.size())]; }
  /// With `whole_zeroes` a zeroing covers whole blocks, so that what is there afterwards tells whether it happened.
  Write random_write(const std::string& volume, bool whole_zeroes);
  void apply(State& state, const Write& write);
  bool acceptable(const Status& status, std::string_view what);
  void say(std::string line) { told_ += line + "\n"; }

  PlayerOptions options_;
  Rng rng_;
  World world_;
  State state_;
  u64 stamp_ = 0;
  u64 made_ = 0;
  u64 used_when_new_ = 0;
  std::string told_;
};

}  // namespace brindle::model
