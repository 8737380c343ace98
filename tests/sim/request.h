// request.h: what was asked of the engine, what it must come to, and which records in the log do it.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/batch.h"
#include "format/command.h"
#include "sim/history.h"
#include "sim/state.h"

namespace brindle::sim {


struct Part {
  u64 offset = 0;
  u64 length = 0;
};
std::vector<Part> cut(u64 offset, u64 length);

/// A record: the batch it came in, and which of that batch it was.
struct RecordPlace {
  u64 number = 0;
  u64 at = 0;
  auto operator<=>(const RecordPlace&) const = default;
};

struct Request {
  Op op;
  EntryId object = 0;            // reads and writes: of what
  RootId root = 0;
  std::string bytes;             // of a write
  Labels labels;                 // that it gives
  std::vector<Part> parts;       // of a write, and the edges of a zeroing
  u64 first = 0, end = 0;        // whole blocks to zero
  std::optional<Code> expected;  // how it must fail
  u64 names = 0;                 // how many changes of names there were when it began
  u64 acked = 0;                 // what a flush must cover
  bool doubtful = false;         // cut short by a crash or an error of the device: in the log, or not
  std::map<RecordPlace, std::vector<std::string>> saved;  // by a rollback, if this record is its own

  bool is_zeroing() const { return op.kind == OpKind::zero || op.kind == OpKind::discard; }
  bool is_command() const { return op.kind != OpKind::write && !is_zeroing(); }
  /// All of it takes effect, or none.
  bool is_atomic() const { return is_command() || (op.kind == OpKind::write && op.length <= part_bytes); }
  std::string bytes_of(const Part& part) const;
  std::vector<std::string> saved_by(const RecordPlace& place) const;
};
Request request_of(const State& now, const Op& op);

/// How the operation must fail; sure only while nothing takes effect.
std::optional<Code> expected_code(const State& now, const Op& op);

/// The command does what was asked for.
bool asks_for(const State& now, const Request& request, const Command& command);

}  // namespace brindle::sim
