#include "sim/book.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace brindle::sim {

// --- requests -------------------------------------------------------------------------------------------------------

Book::Ticket Book::begin(const Op& op) {
  Request request = request_of(now_, op);
  request.names = names_version_;
  request.acked = marks_.acked;
  return claims_.begin(std::move(request));
}

void Book::end(Ticket ticket, const Status& status, bool excused, const std::vector<std::string>& saved) {
  const Request& request = *ticket;
  const Op& op = request.op;
  const std::string what = text(op);
  const auto steady = [&] {
    const bool done = claims_.any(ticket, [](const Share& share) { return share.done; });
    return request.names == names_version_ || (done && request.names + 1 == names_version_);
  };
  if (status) {
    // A discard is advice: where there is no room to note it, nothing happens.
    const bool advice = op.kind == OpKind::discard && excused;
    if (!claims_.keep(ticket, [&](const Share& share) { return share.whole(request) || (advice && !share.refused); })) {
      fail_("acknowledged, and it did not take effect: " + what);
    }
    if (op.kind == OpKind::rollback && !claims_.keep(ticket, [&](const Share& share) { return request.saved_by(share.last) == saved; })) {
      fail_(fmt::format("a rollback tells other saved snapshots than it made: {}", fmt::join(saved, " ")));
    }
    if (request.expected && steady()) fail_(fmt::format("done, and it should be refused ({}): {}", code_name(*request.expected), what));
    marks_ = claims_.acknowledge(ticket, marks_);
    return;
  }
  const Code code = status.code();
  const bool device = code == Code::io || code == Code::read_only || code == Code::corrupt;
  if (request.is_atomic() && !device && !claims_.keep(ticket, [](const Share& share) { return share.none(); })) {
    fail_(fmt::format("refused ({}), and yet it took effect: {}", status.error().message, what));
  }
  const bool known = request.expected && *request.expected == code;
  const bool of_names = code == Code::not_found || code == Code::exists || code == Code::invalid ||
                        code == Code::is_protected || code == Code::busy;
  if (!known && !excused && (steady() || !of_names)) {
    fail_(fmt::format("refused for no reason ({}): {}", status.error().message, what));
  }
  if (request.expected && !known && steady() && !excused) {
    fail_(fmt::format("refused with {}, not {}: {}", code_name(code), code_name(*request.expected), what));
  }
  if (device) {
    claims_.doubt(ticket);
  } else {
    claims_.drop(ticket);
  }
}

// --- reads ----------------------------------------------------------------------------------------------------------

Book::ReadTicket Book::begin_read(EntryId object) {
  Reading reading;
  reading.object = object;
  if (const Object* there = now_.find(object)) reading.seen.push_back(there->content);
  return readings_.insert(readings_.end(), std::move(reading));
}

bool Book::end_read(ReadTicket ticket, u64 offset, const std::string& bytes) {
  bool good = true;
  u64 at = 0;
  for (const Part& part : cut(offset, bytes.size())) {
    const auto held = [&](const model::Content& content) {
      return bytes.compare(at, part.length, content.read(part.offset, part.length)) == 0;
    };
    good = good && std::any_of(ticket->seen.begin(), ticket->seen.end(), held);
    at += part.length;
  }
  readings_.erase(ticket);
  return good;
}

}  // namespace brindle::sim
