// workload.h: short workloads on a small pool: what is done to the engine, and the moments that the pool may be found at.
//
// The pool to start with has a volume `db`, a snapshot of it, a clone `dev`, and chunks that compaction wants:
//
//   db ──── db@one ──── dev          all of them have blocks of their own in a leaf that they share
//
// Holds:  1. The same operations give the same history, byte for byte, however often they are played.
//         2. Operations run one after the other; what runs at once does so within one operation.
//         3. Every state that anybody could see on the way is among the moments, in order; the events of the history say
//            which of them a crash may go back to.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "crash/recorder.h"
#include "crash/verdict.h"
#include "volume/core.h"

namespace brindle::crash {

class Workload;

struct Operation {
  const char* name;
  const char* what;
  /// Plays it; false where it makes no sense in this state (such workloads are left out).
  bool (*play)(Workload&);
};

std::span<const Operation> alphabet();
const Operation* find_operation(std::string_view name);

/// The pool that every workload begins with, closed in order, and what the model says is in it.
struct Start {
  Start();
  Shelf shelf;
  Image image;
  model::State state;
  u64 now_ns = 0;
  u64 used_when_empty = 0;
};

class Workload {
 public:
  /// Opens the pool, as the first operation of all.
  Workload(const Start& start, Shelf& shelf);
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;
  ~Workload();

  /// False: it makes no sense here, or went wrong (see failure).
  bool play(const Operation& operation);
  /// Ends the engine; the history goes on no more. What it held is compared with the model.
  void finish();

  const History& history() const { return history_; }
  /// The event with which the last operation begins.
  size_t last_began() const { return last_began_; }
  const std::vector<Moment>& moments() const { return moments_; }
  /// What went wrong while it was played, without any crash; "" when nothing did.
  const std::string& failure() const { return failure_; }

  // --- for the operations
  enum class Promise { known, durable };
  /// The state after what begins now; to be called once or, with what may be seen on the way, several times before `began`.
  void may_become(const model::State& state);
  void began();
  void ended(const Status& status, Promise promise);
  void ended(const std::optional<Status>& status, Promise promise) {
    ended(status ? *status : Status(Error{Code::io, "it never returned"}), promise);
  }
  /// The moment before the last operation began, and that a power loss goes back behind it no more.
  size_t before() const { return before_; }
  void keeps_promise(size_t moment) { durable_ = std::max<u64>(durable_, moment); }
  const model::State& state() const { return state_; }
  EngineCore& engine() { return *engine_; }
  FairRuntime& runtime() { return *runtime_; }
  std::unique_ptr<Handle> handle(const std::string& name);
  std::string fresh_bytes(u64 length);
  std::string fresh_name(char letter) { return letter + std::to_string(++names_); }
  /// After operations at once, whose order only the engine knows: which of the moments since `began` is it?
  void find_out(const std::vector<model::State>& candidates);
  void restart();
  void kill();

 private:
  void open();
  void fail(std::string why);

  Shelf& shelf_;
  History history_;
  Image image_;
  std::unique_ptr<FairRuntime> runtime_;
  std::unique_ptr<Recorder> device_;
  std::unique_ptr<EngineCore> engine_;
  model::State state_;        // of the newest moment
  std::vector<Moment> moments_;
  u64 durable_ = 0, known_ = 0;  // moments
  size_t before_ = 0;
  size_t last_began_ = 0;
  u64 names_ = 0;
  u64 stamp_ = 1000;
  std::string failure_;
};

}  // namespace brindle::crash
