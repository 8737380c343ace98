// room.cc: how room is made for the log: a checkpoint lets go of what died, compaction brings together what lives, and what it moved is
// let go of by the next checkpoint.
//
// Holds:  1. One at a time makes room. Without a win the pool is full only if a checkpoint has told before what is dead.
//         2. While room is made writes go on in step with it (room_pace.h).
#include <algorithm>
#include <utility>

#include "pool/pool.h"

namespace brindle {

namespace {

constexpr int compaction_rounds = 64;  // before it is said that nothing can be won: the least that one wins is so small
constexpr u64 reader_rest_ns = 200'000;  // between two looks whether those who look have ended, at first
constexpr u64 reader_rest_max_ns = 20 * millisecond_ns;

}  // namespace

/// Begins as soon as the log takes one chunk too many: a tick later it might have taken all. Where the log had to wait all the same, it is
/// copied while the log still goes on, and the next time nothing but a checkpoint is left to be waited for. Elsewhere victims had
/// better die as long as they can; and copies of nearly full ones would take what is empty, so that the log had to wait the more.
Task<void> Pool::run_room_maker() {
  while (!stopping_ && !latched_) {
    const auto something = [this] { return space_.pending_bytes() > 0 || space_.has_moved() || !victims().empty(); };
    bool goes_on = false;
    if (space_.free_chunks() < low_water() && something()) {
      waited_ = false;
      goes_on = co_await make_room();
    } else if (waited_ && space_.free_chunks() < low_water() + room_step() && !space_.has_moved() &&
               !space_.read_from_before_seal()) {
      waited_ = false;
      co_await making_room_.acquire();
      pace_writes();
      goes_on = co_await compact() == Compaction::moved;
      room_pace_.ended(false);
      memory_.notify_all();
      making_room_.release();
    }
    if (!goes_on && !stopping_ && !latched_) co_await room_maker_.wait();  // who stops or latches wakes it only once
  }
}

Task<Result<u64>> Pool::chunk_for_log(bool urgent) {
  for (;;) {
    // The reserve is for a host that gives no more: as long as it gives, a chunk is filled first, however urgent it is.
    // (Filling waits for the device alone; making room waits for the log itself.)
    if (urgent && space_.written_free() <= kept_from_writes && space_.next_to_fill() && !latched_) {
      const Status filled = co_await fill_one();
      if (filled) {
        const auto fresh = space_.take_chunk(SpaceLevel::checkpoint, ChunkUse::segments);
        if (fresh) co_return *fresh;
      }
    }
    const auto chunk = space_.take_chunk(urgent ? SpaceLevel::checkpoint : SpaceLevel::write, ChunkUse::segments);
    if (chunk) {
      if (!urgent) ++log_chunks_;
      filler_.notify_all();
      room_maker_.notify_all();
      co_return *chunk;
    }
    if (stopping_) co_return Error{Code::stopping, "the daemon is stopping"};
    if (latched_) co_return Error{Code::read_only, latched_->message};
    Status filled;
    if (space_.written_free() < filled_ahead && space_.next_to_fill()) {
      filled = co_await fill_one();
      if (filled) continue;
      // The host has no more: what is there must do.
    }
    if (urgent) co_return Error{Code::no_space, "no empty chunk is left"};
    const u64 began_ns = runtime_.now_ns();
    wanted_ns_ = began_ns;
    waited_ = true;
    bool won = co_await make_room();
    // Deletions under way may give what could not be won yet.
    if (!won) won = co_await client_.reclaim_some(false);
    wanted_ns_ = 0;
    counters_.room_wait_ns += runtime_.now_ns() - began_ns;
    if (!won && !filled && filled.code() != Code::no_space)
      co_return filled.error();  // nobody knows whether there is room
    if (!won) co_return Error{Code::no_space, "the pool is full"};
  }
}

Task<bool> Pool::make_room() {
  // One at a time: what another has moved and not yet made durable is no victim any more and not empty either, and the pool would
  // be taken for a full one.
  const u64 before = space_.free_chunks();
  co_await making_room_.acquire();
  bool won = space_.free_chunks() > before;
  if (!won) won = co_await make_room_alone(before);
  making_room_.release();
  co_return won;
}

Task<bool> Pool::make_room_alone(u64 chunks_before) {
  pace_writes();
  const bool won = co_await win_room(chunks_before);
  room_pace_.ended(won);
  memory_.notify_all();
  co_return won;
}

/// Those that the log may have.
u64 Pool::spare_chunks() const { return space_.free_chunks() - std::min(kept_from_writes, space_.free_chunks()); }

/// Of what copies win, in bytes.
u64 Pool::share_of_log(u64 bytes_won) const { return RoomPace::share_of(bytes_won, space_.free_chunks(), low_water()); }

/// Until room is made. Before it is known what will be won, half of what is empty is for the copies.
void Pool::pace_writes() {
  if (stopping_) return;
  room_pace_.begun(written(), std::max<u64>(spare_chunks() / 2, 1) * space_.chunk_size());
  begin_ticks();
}

/// While these are copied. Where victims are nearly full they win little; were the log to have more than that, what is empty would become less
/// from one round to the next, and with it what can be copied at a time, until all writes had to wait.
void Pool::pace_writes(const std::vector<Victim>& chosen) {
  if (stopping_) return;
  u64 wins = 0;
  for (const Victim& victim : chosen) wins += victim.wins;
  // Where there is nothing to give the log waits for a chunk, and so do all writes: few at a time they would only need more of them.
  room_pace_.will_win(written(), spare_chunks() > 0 ? share_of_log(wins) : 0);
  begin_ticks();
}

/// Gives the log a little more, and who waits for that looks again.
void Pool::give_log_a_tick() {
  const u64 now_ns = runtime_.now_ns();
  room_pace_.tick(now_ns, written(), spare_chunks() * space_.chunk_size(), forecast_.left_ns(now_ns, client_.work()));
  memory_.notify_all();
}

/// The first time at once: a round may be shorter than a tick.
void Pool::begin_ticks() {
  if (!room_pace_.ticks()) return;
  give_log_a_tick();
  if (!std::exchange(ticking_, true)) gate_.spawn(tick_while_room_is_made());
}

Task<void> Pool::tick_while_room_is_made() {
  while (room_pace_.ticks() && !stopping_ && !latched_) {
    co_await runtime_.sleep(RoomPace::tick_ns);
    if (room_pace_.ticks()) give_log_a_tick();
  }
  ticking_ = false;
}

Task<bool> Pool::win_room(u64 chunks_before) {
  // The log takes no more than is won, and what it took was won as well. (Not so what the checkpoints of a round took.)
  const u64 log_before = log_chunks_;
  const auto won = [&] { return space_.free_chunks() + (log_chunks_ - log_before) > chunks_before; };
  // The last checkpoint tells well enough what is dead, as long as little died since. Before it is said that nothing can be won
  // there must have been one, and nothing worth a chunk may have died since.
  bool fresh = space_.pending_bytes() == 0 && !client_.dirty() && !space_.has_moved();
  for (int round = 0; round < compaction_rounds && !won() && !stopping_;) {
    // So much died since the last one that another is worth it, or wins what is copied already.
    const bool stale = space_.pending_bytes() >= room_step() * space_.chunk_size() || space_.has_moved();
    Compaction done = Compaction::nothing;
    if (fresh || !stale) done = co_await compact();
    held_up_ = done == Compaction::held_up && !won();
    if (held_up_ && !stopping_ && !latched_) continue;
    if (done == Compaction::nothing && fresh && space_.pending_bytes() < space_.chunk_size() && !space_.has_moved()) break;
    // Makes the move durable and lets go of the old chunks.
    const Status status = co_await checkpoint();
    if (!status) break;
    co_await let_readers_end(chunks_before);
    fresh = true;
    ++round;
  }
  held_up_ = false;
  co_return won();
}

/// What a checkpoint let go of is given again when those who look have ended: to move more meanwhile would win nothing sooner.
Task<void> Pool::let_readers_end(u64 chunks_before) {
  for (u64 rest_ns = reader_rest_ns; space_.held_chunks() > 0 && !stopping_ && !latched_;
       rest_ns = std::min(2 * rest_ns, reader_rest_max_ns)) {
    if (space_.free_chunks() > chunks_before) break;
    held_up_ = true;
    co_await runtime_.sleep(rest_ns);
  }
  held_up_ = false;
}

}  // namespace brindle
