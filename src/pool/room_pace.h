// room_pace.h: writes go on while room is made for the log, in step with it.
//
// In a pool that is nearly full the log takes chunks faster than compaction wins them. Were it to go on as fast as it can, it would have
// taken what is empty in a moment, and then all writes would wait for the end of the round: copies, and the checkpoint that lets go of
// what was copied. So they get what is empty bit by bit, in the time that the round will still take.
//
// Holds:  1. While no room is made nobody waits here.
//         2. Once a round takes longer than was thought the log gets half of what is still empty, in as long as the round took so far, and so
//            on; after a second it gets all: then it is the log that waits.
#pragma once

#include <algorithm>
#include <utility>

#include "runtime/runtime.h"

namespace brindle {

class RoomPace {
 public:
  static constexpr u64 tick_ns = 1 * millisecond_ns;
  /// Of what copies win the log may have nearly all, and less where fewer chunks are empty than are wanted: pages take some as well, and
  /// what is left makes the empty ones more from one round to the next.
  static constexpr u64 share_of(u64 bytes_won, u64 empty, u64 wanted) {
    const u64 nearly_all = bytes_won - bytes_won / 8;
    return empty < wanted ? nearly_all * empty / wanted : nearly_all;
  }

  /// `written`: bytes that the log took so far, and so many more it may until room is won, or until it is known what will be.
  void begun(u64 written, u64 bytes) {
    if (!std::exchange(open_, true)) {
      given_ = written;
      end_ = written + bytes;
    }
    under_way_ = true;
    start();
  }
  /// What is copied from now on will win so many bytes: the log may have these, and not what else it might have had.
  void will_win(u64 written, u64 bytes) {
    if (!under_way_) return;
    given_ = written;
    end_ = written + bytes;
    start();
  }
  /// Unless room was `won` it goes on another time where it stopped.
  void ended(bool won) {
    under_way_ = false;
    if (won) open_ = false;
  }
  /// A tick has passed, and room will be there in so many nanoseconds; `spare` bytes are empty and not kept for anything. On a busy core the
  /// next tick will be late too, by as much as this one.
  void tick(u64 now_ns, u64 written, u64 spare, double left_ns) {
    if (first_ns_ == 0) first_ns_ = now_ns;
    if (given_ >= end_) {
      end_ = std::max(given_, written) + spare / 2;
      over_ns_ = now_ns + std::max(now_ns - first_ns_, over_min_ns);
    }
    if (over_ns_ > now_ns) left_ns = std::max(left_ns, static_cast<double>(over_ns_ - now_ns));
    const u64 took_ns = std::max(tick_ns, ticked_ns_ > 0 ? now_ns - ticked_ns_ : 0);
    ticked_ns_ = now_ns;
    const u64 from = std::min(std::max(given_, written), end_);  // what was admitted may be a little more
    const double part = std::min(1.0, static_cast<double>(took_ns) / std::max(left_ns, 1.0));
    given_ = from + static_cast<u64>(static_cast<double>(end_ - from) * part);
    too_long_ = now_ns - first_ns_ >= longest_ns;
  }
  /// Is there to be another tick?
  bool ticks() const { return under_way_ && !too_long_; }
  bool admits(u64 written) const { return !ticks() || given_ >= end_ || written <= given_; }

 private:
  // Whatever is thought: somebody may look for minutes, and nothing is given again meanwhile. That a log waits is noticed, that writes do is not.
  static constexpr u64 longest_ns = second_ns;
  static constexpr u64 over_min_ns = 20 * millisecond_ns;

  void start() {
    first_ns_ = ticked_ns_ = over_ns_ = 0;
    too_long_ = false;
  }

  bool under_way_ = false;
  u64 first_ns_ = 0;   // when the first tick was; 0: none yet
  u64 ticked_ns_ = 0;  // and the last one
  u64 over_ns_ = 0;    // until when it is to make do with what it got beyond its share
  bool too_long_ = false;
  bool open_ = false;  // begun, and nothing was won yet
  u64 given_ = 0;      // as far as the log may come now
  u64 end_ = 0;        // and before room is won
};

}  // namespace brindle
