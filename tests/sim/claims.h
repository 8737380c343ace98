// claims.h: which request each record belongs to.
//
// Requests at once may have records that look alike: of two discards that overlap, nobody can tell from a record whose it is,
// only from what becomes of the two. So every way to give the records to requests is kept, as an explanation: a record goes
// on in each with every request that it may be of there, and the end of a request strikes those out in which it came to
// something else. What happened is wrong when none is left. It is told at the first event at which no assignment exists, and
// never before.
//
// Holds:  1. In each explanation every record belongs to one request that was under way when it took effect (in a replay: or
//            cut short before), and each part of a request has one record at most. Blocks are zeroed from front to back.
//         2. Each request that ended well has all its parts; each that was refused and is atomic has none.
//         3. No two explanations are the same. There is nearly always one.
//         4. A record and the requests that it may belong to are about the same volume, so each volume's are apart.
// Size:   eight lanes that all zero the same blocks, and none of them ended, have 40,320; nothing that is drawn comes near.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <vector>

#include "sim/request.h"

namespace brindle::sim {

/// What one request has of the records.
struct Share {
  u64 parts = 0;        // a bit for each that took effect
  u64 parts_refused = 0;
  u64 zeroed = 0;       // whole blocks, from the first on
  bool done = false;    // a command took effect
  bool refused = false; // a part did not
  RecordPlace last;     // the record that took effect last

  auto operator<=>(const Share&) const = default;
  bool none() const { return !done && parts == 0 && zeroed == 0; }
  bool whole(const Request& request) const;
};

/// What must be there: after a kill, and after a power loss.
struct Marks {
  u64 acked = 0;    // the last batch with anything that was acknowledged
  u64 durable = 0;  // the last one that a flush covered

  auto operator<=>(const Marks&) const = default;
};

/// A data record, and the checksums of its blocks.
struct SummedRecord : DataRecord {
  std::vector<u32> crcs;
};

class Claims {
 public:
  using Ticket = std::list<Request>::iterator;

  Ticket begin(Request request);
  void drop(Ticket ticket) { forget(ticket); }
  /// It may be in the log all the same: a replay may bring it.
  void doubt(Ticket ticket) { ticket->doubtful = true; }
  void doubt_all();
  void clear();

  // A record takes effect, or does not (`ok`). False: nobody can have asked for it.
  bool claim(const State& now, RecordPlace place, const Command& command, bool ok, bool replaying);
  /// `blocks`: what it writes.
  bool claim(const State& now, RecordPlace place, const SummedRecord& record, bool ok, bool replaying, std::vector<model::Block>& blocks);

  /// Strikes out where the request's share is none of these. False: it is nowhere, and nothing was struck out.
  bool keep(Ticket ticket, const std::function<bool(const Share&)>& holds);
  /// Some explanation left has it so.
  bool any(Ticket ticket, const std::function<bool(const Share&)>& holds) const;
  /// The request was acknowledged: what holds by now in every explanation, where `before` did.
  Marks acknowledge(Ticket ticket, Marks before);

 private:
  struct Explanation {
    std::vector<Share> shares;  // as `members`
    Marks marks;
    auto operator<=>(const Explanation&) const = default;
  };
  struct Group {
    std::vector<Request*> members;
    std::vector<Explanation> explanations{Explanation()};
  };
  using Step = std::function<void(const Explanation& before, std::vector<Explanation>& after)>;

  static u64 key_of(const Request& request) { return request.is_command() ? 0 : request.root; }
  const Group& group_of(Ticket ticket) const { return groups_.at(key_of(*ticket)); }
  Group& group_of(Ticket ticket) { return groups_.at(key_of(*ticket)); }
  static size_t index_in(const Group& group, const Request& request);
  bool go_on(Group& group, const Step& step);
  void make_distinct(Group& group);
  bool claim_zeroes(RecordPlace place, RootId head, u64 first, u64 count, bool ok, bool replaying);
  void forget(Ticket ticket);

  std::list<Request> requests_;
  std::map<u64, Group> groups_;  // by root; commands are at 0, which is no root's
};

}  // namespace brindle::sim
