// upkeep.cc: what a pool does by itself: when it checkpoints, makes room, fills chunks ahead, and gives chunks back.
#include <algorithm>

#include <fmt/format.h>

#include "pool/pool.h"

namespace brindle {

namespace {

constexpr u64 log_bytes_max = 256 * MiB;        // of log that a crash would have to replay
constexpr u64 flush_bytes = 64 * MiB;           // the engine flushes by itself after this much
constexpr u64 names_freed_max = 512 * 1024;     // a list entry each, until the next seal
constexpr u64 tick_ns = 100 * millisecond_ns;   // while there is something to tidy
constexpr u64 idle_ns = 1 * second_ns;          // without requests, before a checkpoint only to tidy, and compaction
constexpr u64 punch_ns = 4 * second_ns;         // without requests, before empty chunks go back to the host
// Compaction in a quiet pool rests so many times as long as it worked: little at first; later an idle daemon is to cost
// nothing that anybody notices.
constexpr u64 hurry_ns = 2500 * millisecond_ns;
constexpr u64 rest_times_at_first = 2;
constexpr u64 rest_times = 200;
constexpr int compaction_rounds = 64;  // before it is said that nothing can be won: the least that one wins is so small
constexpr u64 reader_rest_ns = 200'000;  // between two looks whether those who look have ended, at first
constexpr u64 reader_rest_max_ns = 20 * millisecond_ns;
constexpr u64 filled_ahead = kept_from_writes + 6;  // chunks ready: the reserve, and some for the log
constexpr u64 filled_kept = filled_ahead;           // never given back to the host

}  // namespace

void Pool::touch() {
  touched_ns_ = runtime_.turn_ns();
  tidy_due_ = punch_due_ = true;
  if (!touched_) {
    touched_ = true;
    upkeep_.notify_all();
  }
}

bool Pool::wants_checkpoint() {
  const u64 log_limit = std::min(log_bytes_max, size() / 8);
  const bool idle = runtime_.now_ns() - touched_ns_ >= idle_ns;
  return log_->bytes_since_seal() >= log_limit || space_.names_freed() >= names_freed_max ||
         space_.segment_numbers_given() + 256 >= superblock_.segment_limit ||
         (idle && (client_.dirty() || space_.pending_bytes() > 0 || log_->replay_bytes() > 0));
}

Task<void> Pool::run_upkeep() {
  u64 flushed_bytes = 0;
  u64 rested_ns = 0;
  while (!stopping_ && !latched_) {
    if (!touched_ && !tidy_due_ && !punch_due_) {
      co_await upkeep_.wait();
      continue;
    }
    if (client_.dirty_bytes() >= pace_.begin_bytes()) checkpointer_.notify_all();
    if (wants_checkpoint()) {
      flushed_bytes = 0;
      const Status status = co_await checkpoint();
      if (!status) break;
    } else if (log_->bytes_since_seal() >= flushed_bytes + flush_bytes) {
      flushed_bytes = log_->bytes_since_seal();
      const Status status = co_await log_->flush();
      if (!status) break;
    }
    const u64 quiet_ns = runtime_.now_ns() - touched_ns_;
    if (quiet_ns >= idle_ns && !client_.dirty() && space_.pending_bytes() == 0 && log_->replay_bytes() == 0) {
      touched_ = false;
    }
    if (!touched_ && tidy_due_ && runtime_.now_ns() >= rested_ns) {
      const u64 began_ns = runtime_.now_ns();
      tidy_due_ = co_await compact_idle();
      punch_due_ = true;
      const u64 times = began_ns - touched_ns_ < hurry_ns ? rest_times_at_first : rest_times;
      rested_ns = runtime_.now_ns() + (runtime_.now_ns() - began_ns) * times;
    }
    if (!touched_ && punch_due_ && quiet_ns >= punch_ns) {
      punch_due_ = false;
      for (u64 chunk : space_.punchable(filled_kept)) {
        if (stopping_ || touched_) break;
        // Nothing is filled meanwhile: a chunk that is filled and written again must not meet a punch that is still under way.
        co_await filling_.acquire();
        Status status;
        if (space_.punched(chunk)) status = co_await device_.punch(space_.chunk_offset(chunk), space_.chunk_size());
        filling_.release();
        if (!status) break;  // a host that cannot take chunks back costs space, nothing else
      }
    }
    co_await runtime_.sleep(tick_ns);
  }
}

/// Begins as soon as the log takes one chunk too many: a tick later it might have taken all. Where the log had to wait all the same, it is
/// copied while the log still goes on, and the next time nothing but a checkpoint is left to be waited for. (Elsewhere victims had
/// better die as long as they can.)
Task<void> Pool::run_room_maker() {
  while (!stopping_ && !latched_) {
    const auto something = [this] { return space_.pending_bytes() > 0 || space_.has_moved() || !victims().empty(); };
    bool goes_on = false;
    if (space_.free_chunks() < low_water() && something()) {
      waited_ = false;
      goes_on = co_await make_room();
    } else if (waited_ && !space_.has_moved() && !space_.read_from_before_seal()) {
      waited_ = false;
      co_await making_room_.acquire();
      goes_on = co_await compact() == Compaction::moved;
      making_room_.release();
    }
    if (!goes_on && !stopping_ && !latched_) co_await room_maker_.wait();  // who stops or latches wakes it only once
  }
}

/// Changed pages must not wait for a tick: in one they may use up all of their memory.
Task<void> Pool::run_checkpointer() {
  while (!stopping_ && !latched_) {
    if (client_.dirty_bytes() < pace_.begin_bytes()) {
      memory_.notify_all();  // what a deletion lets go of makes room too, without a checkpoint that would tell
      co_await checkpointer_.wait();
      continue;
    }
    const Status status = co_await checkpoint();
    if (!status && !stopping_ && !latched_) co_await checkpointer_.wait();
  }
}

/// Keeps a few chunks ready, so that the log never waits for zeroes to be written.
Task<void> Pool::run_filler() {
  while (!stopping_ && !latched_) {
    if (space_.written_free() >= filled_ahead || !space_.next_to_fill()) {
      co_await filler_.wait();
      continue;
    }
    const Status status = co_await fill_one();
    if (!status && !stopping_ && !latched_) co_await filler_.wait();  // who stops or latches wakes it only once
  }
}

Task<Status> Pool::fill_one() {
  co_await filling_.acquire();
  Status status;
  if (const auto chunk = space_.next_to_fill()) {
    status = co_await device_.fill(space_.chunk_offset(*chunk), space_.chunk_size());
    if (status) space_.filled(*chunk);
  } else {
    status = Error{Code::no_space, "the pool is as large as it may become"};
  }
  filling_.release();
  co_return status;
}

/// After a crash what was filled since the checkpoint counts as punched once more. Where the host has nothing left to give, the
/// chunks that it gave then are all that a checkpoint may find: each is tried, since nothing tells them from punched ones.
Task<void> Pool::fill_what_the_host_has_given() {
  co_await filling_.acquire();
  for (auto chunk = space_.next_to_fill(); chunk && space_.written_free() < kept_from_writes; chunk = space_.next_to_fill(*chunk + 1)) {
    const Status status = co_await device_.fill(space_.chunk_offset(*chunk), space_.chunk_size());
    if (status) space_.filled(*chunk);
  }
  filling_.release();
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
      filler_.notify_all();
      room_maker_.notify_all();
      co_return *chunk;
    }
    if (stopping_) co_return Error{Code::stopping, "the daemon is stopping"};
    if (latched_) co_return Error{Code::read_only, latched_->message};
    if (space_.written_free() < filled_ahead && space_.next_to_fill()) {
      const Status filled = co_await fill_one();
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
  const auto won = [&] { return space_.free_chunks() > chunks_before; };
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

bool Pool::admitted(u64 blocks) const {
  return !latched_ && client_.dirty_bytes() < pace_.begin_bytes() && !memory_.has_waiters() && free() >= (blocks + 1) * block_size;
}

/// Waits until there is room for a write of so many blocks. What deletions and debts give back is waited for, and what others only
/// might still take: writes under way, and pages as large as they are in memory. Only then is the pool full.
Task<Status> Pool::admit(u64 blocks) {
  if (latched_) co_return Error{Code::read_only, latched_->message};
  // Maps that outgrow their memory go on as fast as a checkpoint writes them out.
  for (bool behind = memory_.has_waiters();; behind = false) {
    if (client_.dirty_bytes() >= pace_.begin_bytes()) checkpointer_.notify_all();
    if (latched_ || (!behind && pace_.admits(client_.work()))) break;
    co_await memory_.wait();
  }
  const u64 wanted = (blocks + 1) * block_size;
  bool checkpointed = false;
  bool retried = false;
  while (free() < wanted && !latched_) {
    const bool reclaimed = co_await client_.reclaim_some(!retried);
    retried = true;
    if (reclaimed) {
      checkpointed = false;
      continue;
    }
    if (checkpointed && free_at_rest() < wanted) {
      co_return Error{Code::no_space, "the pool is full: delete volumes or snapshots, or grow it"};
    }
    const u64 promised = log_->blocks_under_way() * block_size;
    if (checkpointed && promised > 0 && free() + promised >= wanted) {
      co_await log_->some_applied();
    } else {
      checkpointed = true;
      co_await checkpoint_once();
    }
  }
  co_return Status{};
}

/// A checkpoint for one who waits for its effect: the one under way will do as well.
Task<void> Pool::checkpoint_once() {
  const u64 done = counters_.checkpoints;
  co_await checkpointing_.acquire();
  checkpointing_.release();
  if (counters_.checkpoints == done && !latched_ && !stopping_) static_cast<void>(co_await checkpoint());
}

}  // namespace brindle
