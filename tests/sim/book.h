// book.h: the oracle: what every volume and snapshot must hold, at every moment that the pool may go back to.
//
// The engine says in which order requests took effect (ApplyWatcher), since of requests at once any order is right. All
// else is the book's own: what a record must contain to be the request that was made, what it does to a plain model, and
// which of the moments since are still allowed after a crash.
//
// Holds:  1. Every record belongs to one request that is under way, takes effect once, and has the checksums of what the
//            model says the blocks hold then; a request that returned ok has taken effect wholly, one that was refused not
//            at all. So what happens is an order of all requests that agrees with when they began and ended.
//         2. There is one state for each batch number, of all volumes together. After a crash the pool must be at one of
//            them: after a kill not before the last acknowledged request, after a power loss not before the last flush.
//         3. A read saw what its range held at one moment between its beginning and its end.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "sim/claims.h"
#include "sim/request.h"
#include "sim/state.h"
#include "volume/core.h"

namespace brindle::sim {

class Book final : public ApplyWatcher {
 public:
  using Fail = std::function<void(std::string)>;
  explicit Book(Fail fail) : fail_(std::move(fail)) {}

  // --- requests that change something
  using Ticket = Claims::Ticket;
  Ticket begin(const Op& op);
  /// `excused`: the device or a full pool may have been in the way. `saved`: the snapshots that a rollback tells of.
  void end(Ticket ticket, const Status& status, bool excused, const std::vector<std::string>& saved = {});

  // --- tidying: any volume's blocks may be written once more, as they are
  void begin_tidy() {
    ++tidying_;
    tidied_ = true;
  }
  void end_tidy() { --tidying_; }

  // --- reads
  struct Reading {
    EntryId object = 0;
    std::vector<model::Content> seen;
  };
  using ReadTicket = std::list<Reading>::iterator;
  ReadTicket begin_read(EntryId object);
  /// Whether the range held these bytes at some moment of the reading (longer than 256 KiB: each part).
  bool end_read(ReadTicket ticket, u64 offset, const std::string& bytes);
  void drop_read(ReadTicket ticket) { readings_.erase(ticket); }

  // --- questions: sure only while nothing takes effect
  const State& now() const { return now_; }
  u64 changes() const { return changes_; }
  std::optional<Code> expected(const Op& op) const { return expected_code(now_, op); }

  // --- durability
  u64 acknowledged() const { return marks_.acked; }
  /// All up to this batch is durable.
  void flushed(u64 number) { marks_.durable = std::max(marks_.durable, number); }

  // --- crashes
  void killed();
  void lost_power();
  /// Something rotted since: of what was acknowledged only what was flushed must be there.
  void spoiled() { must_ = std::min(must_, marks_.durable); }
  void opening();
  /// The pool is open and at batch `last`. With `any` damage may have cost it the end of the log. Opened read-only it has
  /// changed nothing: another crash may take more, and there may be more when staging memory is found, or the same bit rots back.
  void opened(u64 last, bool any, bool read_only = false);
  /// Nothing behind that batch must be there any more.
  void give_up_behind(u64 last) {
    must_ = std::min(must_, last);
    marks_ = {std::min(marks_.acked, last), std::min(marks_.durable, last)};
  }

  // --- ApplyWatcher
  void applied(u64 number, const Command& command, const Status& status) override;
  void applied(u64 number, const DataRecord& record, std::span<const u32> crcs, const Status& status) override;

 private:
  struct Effect {
    std::optional<Command> command;
    SummedRecord data;
    std::vector<model::Block> blocks;
    bool ok = false;
    bool by_device = false;  // that it is not
  };
  Effect* at_record(u64 number);
  void new_effect(Effect effect);
  void apply(const Command& command);
  void apply(const DataRecord& record, const std::vector<model::Block>& blocks);
  bool tidied(const SummedRecord& record, bool ok, std::vector<model::Block>& blocks) const;
  void comes_after_all(RootId root);
  bool built_on_refused(const SummedRecord& record, bool ok, std::vector<model::Block>& blocks);
  void put(Object object);
  State state_at(u64 number) const;
  void crashed();

  Fail fail_;
  State now_;
  std::map<u64, State> states_;
  std::map<u64, std::vector<Effect>> effects_;
  u64 number_ = 0;        // of the record that came last
  size_t at_ = 0;         // records of it so far
  u64 opened_at_ = 0;     // the batch that the pool was opened at
  bool replaying_ = false;
  std::map<u64, std::vector<model::Content>>
      without_;  // by root: before this replay brought something that had been refused
  u64 changes_ = 0;
  u64 names_version_ = 0;
  u64 tidying_ = 0;
  bool tidied_ = false;  // ever: a replay may bring what the device refused, or what nobody saw applied
  Marks marks_;
  u64 must_ = 0;          // what the next opening has to have
  Claims claims_;
  std::list<Reading> readings_;
};

}  // namespace brindle::sim
