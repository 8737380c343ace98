// upkeep.cc: what a pool does by itself: when it checkpoints, fills chunks ahead, and gives chunks back; and which writes it admits.
#include <algorithm>

#include <fmt/format.h>

#include "pool/pool.h"

namespace brindle {

namespace {

constexpr u64 log_bytes_max = 2 * GiB;          // of log that a crash would have to replay
constexpr u64 flush_bytes = 64 * MiB;           // the engine flushes by itself after this much
constexpr u64 names_freed_max = 512 * 1024;     // a list entry each, until the next seal
constexpr u64 names_ahead_max = 8 * names_freed_max;  // while a checkpoint is written
constexpr u64 tick_ns = 100 * millisecond_ns;   // while there is something to tidy
constexpr u64 idle_ns = 1 * second_ns;          // without requests, before a checkpoint only to tidy, and compaction
constexpr u64 punch_ns = 4 * second_ns;         // without requests, before empty chunks go back to the host
// Compaction in a quiet pool rests so many times as long as it worked: little at first; later an idle daemon is to cost
// nothing that anybody notices.
constexpr u64 hurry_ns = 2500 * millisecond_ns;
constexpr u64 rest_times_at_first = 2;
constexpr u64 rest_times = 200;

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

bool Pool::frees_far_ahead() const { return space_.names_freed() >= names_ahead_max; }

Task<void> Pool::run_upkeep() {
  u64 flushed_bytes = 0;  // of the log since the last seal
  u64 rested_ns = 0;
  bool no_chunk = false;
  while (!stopping_ && !latched_) {
    if (!touched_ && !tidy_due_ && !punch_due_) {
      co_await upkeep_.wait();
      continue;
    }
    if (client_.dirty_bytes() >= pace_.begin_bytes()) checkpointer_.notify_all();
    flushed_bytes = std::min(flushed_bytes, log_->bytes_since_seal());  // others checkpoint too
    // One that failed and did not latch found no chunk for its batch. With a chunk for that alone the next one would fail for want of another.
    if (wants_checkpoint() && (!no_chunk || space_.written_free() >= kept_from_compaction)) {
      const Status status = co_await checkpoint();
      no_chunk = !status;
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
      co_await punch_empty();
    }
    co_await runtime_.sleep(tick_ns);
  }
}

/// Gives what the next writes will not want back to the host. A checkpoint tells of it first: after a crash a chunk that may be a hole must
/// not be taken for one that was written, since a host that is full has nothing for it.
Task<void> Pool::punch_empty() {
  std::vector<u64> fresh = space_.punchable(filled_ahead);
  std::erase_if(fresh, [this](u64 chunk) { return !space_.punched(chunk); });
  to_punch_.insert(to_punch_.end(), fresh.begin(), fresh.end());
  if (!fresh.empty()) {
    if (const Status status = co_await checkpoint(); !status) co_return;
  }
  const u64 since_ns = touched_ns_;
  while (!to_punch_.empty() && !stopping_ && touched_ns_ == since_ns) {
    const u64 chunk = to_punch_.back();
    // Nothing is filled meanwhile: a chunk that is filled and written again must not meet a punch that is still under way.
    co_await filling_.acquire();
    Status status;
    if (space_.is_punched(chunk)) status = co_await device_.punch(space_.chunk_offset(chunk), space_.chunk_size());
    filling_.release();
    to_punch_.pop_back();
    if (!status) to_punch_.clear();  // a host that cannot take chunks back costs space, nothing else
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

/// Keeps a few chunks ready, so that the log never waits for zeroes to be written; and all of them as soon as room is made for it, since
/// copies are put where something was written before.
Task<void> Pool::run_filler() {
  while (!stopping_ && !latched_) {
    const bool enough = space_.written_free() >= filled_ahead && space_.free_chunks() >= low_water();
    if (enough || !space_.next_to_fill()) {
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
    status = co_await fill(*chunk);
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
    static_cast<void>(co_await fill(*chunk));
  }
  filling_.release();
}

/// A flush that fails here would tell nobody else that what it was to make durable is gone.
Task<Status> Pool::fill(u64 chunk) {
  Status status = co_await device_.fill(space_.chunk_offset(chunk), space_.chunk_size());
  if (!status) co_return status;
  status = co_await flusher_.flush();
  if (status) {
    space_.filled(chunk);
  } else {
    latch({Code::io, fmt::format("a flush failed, so nobody knows what is on disk: {}", status.error().message)});
  }
  co_return status;
}

bool Pool::admitted(u64 blocks) const {
  return !latched_ && client_.dirty_bytes() < pace_.begin_bytes() && !memory_.has_waiters() &&
         room_pace_.admits(written()) && free() >= (blocks + 1) * block_size;
}

/// Waits until there is room for a write of so many blocks. What deletions and debts give back is waited for, and what others only
/// might still take: writes under way, and pages as large as they are in memory. Only then is the pool full.
Task<Status> Pool::admit(u64 blocks) {
  if (latched_) co_return Error{Code::read_only, latched_->message};
  // Maps that outgrow their memory go on as fast as a checkpoint writes them out, and a nearly full pool as fast as room is made.
  for (bool behind = memory_.has_waiters();; behind = false) {
    if (client_.dirty_bytes() >= pace_.begin_bytes()) checkpointer_.notify_all();
    const bool has_room = room_pace_.admits(written());
    if (!has_room) waited_ = true;
    if (latched_ || (!behind && has_room && pace_.admits(client_.work()))) break;
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
