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
#include <memory>
#include <set>
#include <string>

#include "model/model.h"
#include "sim/history.h"
#include "volume/core.h"

namespace brindle::sim {

struct Object {
  EntryId id = 0;
  RootId root = 0;
  EntryId volume = 0;  // of a snapshot
  std::string own;     // of a snapshot: the part behind the @
  model::Content content;
  Labels labels;
  bool is_protected = false;
  bool deleted = false;  // a volume of which only snapshots are left

  bool is_snapshot() const { return volume != 0; }
};

/// Everything at one moment. A copy shares all that does not change.
class State {
 public:
  using Objects = std::map<EntryId, std::shared_ptr<const Object>>;
  const Objects& objects() const { return objects_; }
  const Object* find(EntryId id) const;
  /// Not those that were deleted.
  const Object* named(const std::string& name) const;
  const Object* with_root(RootId root) const;
  bool taken(const std::string& volume) const;
  std::string name_of(const Object& object) const;
  std::vector<const Object*> snapshots_of(EntryId volume) const;
  void put(Object object);
  void remove(EntryId id);
  u64 live_blocks() const;
  /// Blocks that only members of the set hold.
  u64 freed_blocks(const std::set<EntryId>& ids) const;

 private:
  Objects objects_;
};

class Book final : public ApplyWatcher {
 public:
  using Fail = std::function<void(std::string)>;
  explicit Book(Fail fail) : fail_(std::move(fail)) {}

  // --- requests that change something
  struct Part {
    u64 offset = 0;
    u64 length = 0;
    bool applied = false;
    bool refused = false;
  };
  struct Request {
    Op op;
    EntryId object = 0;          // reads and writes: of what
    RootId root = 0;
    std::string bytes;           // of a write
    Labels labels;               // that it gives
    std::vector<Part> parts;     // of a write, and the edges of a zeroing
    u64 first = 0, end = 0;      // whole blocks to zero
    u64 zeroed_blocks = 0;       // of these, from the first on
    bool refused = false;
    bool done = false;           // a command took effect
    std::vector<std::string> saved;  // snapshots that a rollback made
    u64 number = 0;              // the last batch with a part of it
    std::optional<Code> expected;    // how it must fail
    u64 names = 0;               // names_version_ when it began
    u64 acked = 0;               // what a flush must cover
  };
  using Ticket = std::list<Request>::iterator;
  Ticket begin(const Op& op);
  /// A request like one under way: of a zeroing, nobody could tell which of the two a record belongs to.
  bool like_another(const Op& op) const;
  /// `excused`: the device or a full pool may have been in the way.
  void end(Ticket ticket, const Status& status, bool excused);

  // --- reads
  struct Reading {
    EntryId object = 0;
    u64 first_block = 0, end_block = 0;
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
  std::optional<Code> expected(const Op& op) const;

  // --- durability
  u64 acknowledged() const { return acked_; }
  /// All up to this batch is durable.
  void flushed(u64 number) { floor_ = std::max(floor_, number); }

  // --- crashes
  void killed();
  void lost_power();
  /// Something rotted since: of what was acknowledged only what was flushed must be there.
  void spoiled() { must_ = std::min(must_, floor_); }
  void opening();
  /// The pool is open and at batch `last`. With `any` damage may have cost it the end of the log. Opened read-only it has
  /// made nothing durable: another crash may take more.
  void opened(u64 last, bool any, bool read_only = false);

  // --- ApplyWatcher
  void applied(u64 number, const Command& command, const Status& status) override;
  void applied(u64 number, const DataRecord& record, const Status& status) override;

 private:
  struct Effect {
    std::optional<Command> command;
    DataRecord data;
    std::vector<model::Block> blocks;
    bool ok = false;
  };
  Request request_of(const Op& op) const;
  Effect* at_record(u64 number);
  void new_effect(Effect effect);
  bool claim(const Command& command, u64 number, bool ok);
  bool claim_zeroes(RootId head, u64 first, u64 count, u64 number, bool ok);
  bool claim(const DataRecord& record, u64 number, bool ok, std::vector<model::Block>& blocks);
  bool matches(const Request& request, const Command& command) const;
  void apply(const Command& command);
  void apply(const DataRecord& record, const std::vector<model::Block>& blocks);
  void put(Object object);
  State state_at(u64 number) const;
  void crashed();
  std::string object_name(EntryId id) const;

  Fail fail_;
  State now_;
  std::map<u64, State> states_;
  std::map<u64, std::vector<Effect>> effects_;
  u64 number_ = 0;        // of the record that came last
  size_t at_ = 0;         // records of it so far
  u64 opened_at_ = 0;     // the batch that the pool was opened at
  bool replaying_ = false;
  u64 changes_ = 0;
  u64 names_version_ = 0;
  u64 acked_ = 0;
  u64 floor_ = 0;
  u64 must_ = 0;          // what the next opening has to have
  std::list<Request> open_;
  std::list<Request> doubtful_;  // cut short by a crash or an error of the device: in the log, or not
  std::list<Reading> readings_;
};

}  // namespace brindle::sim
