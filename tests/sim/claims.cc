#include "sim/claims.h"

#include <algorithm>
#include <span>

#include "base/check.h"
#include "base/crc32c.h"

namespace brindle::sim {

using model::Block;
using model::Content;

namespace {

bool under_way(const Request& request, bool replaying) { return replaying || !request.doubtful; }

}  // namespace

bool Share::whole(const Request& request) const {
  if (refused) return false;
  if (request.is_command()) return done;
  return parts == (u64{1} << request.parts.size()) - 1 && zeroed == request.end - request.first;
}

// --- requests -------------------------------------------------------------------------------------------------------

Claims::Ticket Claims::begin(Request request) {
  CHECK(request.parts.size() < 64);
  const Ticket ticket = requests_.insert(requests_.end(), std::move(request));
  Group& group = groups_[key_of(*ticket)];
  group.members.push_back(&*ticket);
  for (Explanation& explanation : group.explanations) explanation.shares.emplace_back();
  return ticket;
}

void Claims::doubt_all() {
  for (Request& request : requests_) request.doubtful = true;
}

void Claims::clear() {
  groups_.clear();
  requests_.clear();
}

size_t Claims::index_in(const Group& group, const Request& request) {
  const auto at = std::find(group.members.begin(), group.members.end(), &request);
  CHECK(at != group.members.end());
  return static_cast<size_t>(at - group.members.begin());
}

/// Explanations that differed only in what a request had that ended are one from now on.
void Claims::forget(Ticket ticket) {
  Group& group = group_of(ticket);
  const auto index = static_cast<std::ptrdiff_t>(index_in(group, *ticket));
  group.members.erase(group.members.begin() + index);
  if (group.members.empty()) {
    groups_.erase(key_of(*ticket));
  } else {
    for (Explanation& explanation : group.explanations) explanation.shares.erase(explanation.shares.begin() + index);
    make_distinct(group);
  }
  requests_.erase(ticket);
}

bool Claims::keep(Ticket ticket, const std::function<bool(const Share&)>& holds) {
  if (!any(ticket, holds)) return false;
  Group& group = group_of(ticket);
  const size_t index = index_in(group, *ticket);
  std::erase_if(group.explanations, [&](const Explanation& explanation) { return !holds(explanation.shares[index]); });
  return true;
}

bool Claims::any(Ticket ticket, const std::function<bool(const Share&)>& holds) const {
  const Group& group = group_of(ticket);
  const size_t index = index_in(group, *ticket);
  return std::any_of(group.explanations.begin(), group.explanations.end(),
                     [&](const Explanation& explanation) { return holds(explanation.shares[index]); });
}

Marks Claims::acknowledge(Ticket ticket, Marks before) {
  Group& group = group_of(ticket);
  const size_t index = index_in(group, *ticket);
  const bool durable = ticket->op.fua || ticket->is_command();
  Marks least{~u64{0}, ~u64{0}};
  for (Explanation& explanation : group.explanations) {
    Marks& marks = explanation.marks;
    const u64 number = explanation.shares[index].last.number;
    marks.acked = std::max({marks.acked, before.acked, number});
    marks.durable = std::max({marks.durable, before.durable, durable ? std::max(number, ticket->acked) : 0});
    least.acked = std::min(least.acked, marks.acked);
    least.durable = std::min(least.durable, marks.durable);
  }
  forget(ticket);
  return least;
}

// --- records --------------------------------------------------------------------------------------------------------

void Claims::make_distinct(Group& group) {
  auto& all = group.explanations;
  if (all.size() > 1) {
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
  }
}

/// Every explanation goes on in each way that there is; false: in none.
bool Claims::go_on(Group& group, const Step& step) {
  std::vector<Explanation> after;
  for (const Explanation& before : group.explanations) step(before, after);
  if (after.empty()) return false;
  group.explanations = std::move(after);
  make_distinct(group);
  return true;
}

bool Claims::claim(const State& now, RecordPlace place, const Command& command, bool ok, bool replaying) {
  if (const auto* discard = std::get_if<DiscardLeaves>(&command)) {
    return claim_zeroes(place, discard->head, discard->first_leaf * leaf_blocks, discard->count * leaf_blocks, ok, replaying);
  }
  const auto at = groups_.find(0);
  if (at == groups_.end()) return false;
  Group& group = at->second;
  std::vector<size_t> owners;
  for (size_t i = 0; i < group.members.size(); ++i) {
    Request& request = *group.members[i];
    if (!under_way(request, replaying) || !request.is_command() || !asks_for(now, request, command)) continue;
    owners.push_back(i);
    const auto* const back = std::get_if<RollBack>(&command);
    if (back == nullptr) continue;
    auto& saved = request.saved[place];
    for (const RollBack::One& one : back->volumes) {
      const Object* const volume = now.find(one.volume);
      if (one.saved.entry != 0) saved.push_back((volume == nullptr ? "" : now.name_of(*volume)) + "@" + one.saved.name);
    }
  }
  return go_on(group, [&](const Explanation& before, std::vector<Explanation>& after) {
    for (const size_t owner : owners) {
      if (before.shares[owner].done) continue;
      after.push_back(before);
      Share& share = after.back().shares[owner];
      share.done = ok;
      if (ok) share.last = place;
    }
  });
}

bool Claims::claim(const State& now, RecordPlace place, const SummedRecord& record, bool ok, bool replaying, std::vector<Block>& blocks) {
  if (record.zero) return claim_zeroes(place, record.head, record.first_block, record.count, ok, replaying);
  const auto at = groups_.find(record.head);
  if (at == groups_.end()) return false;
  Group& group = at->second;
  struct Fit {
    size_t owner;
    u64 bit;
    bool sure;
  };
  std::vector<Fit> fits;
  const auto look = [&](size_t owner, size_t index) {
    const Request& request = *group.members[owner];
    const Part& part = request.parts[index];
    if (part.offset / block_size != record.first_block ||
        div_up(part.offset + part.length, block_size) != record.first_block + record.count) {
      return;
    }
    const Object* const object = now.with_root(record.head);
    Content after = object != nullptr ? object->content : Content();
    after.write(part.offset, request.bytes_of(part));
    std::vector<Block> made;
    bool same = true;
    for (u64 i = 0; i < record.count && same; ++i) {
      made.push_back(after.blocks.find(record.first_block + i));
      same = crc32c(std::as_bytes(std::span(*made.back()))) == record.crcs[i];
    }
    // Of a volume that is gone nobody can say what the rest of a block was: then the place must do, where nothing fits better.
    const bool whole = part.offset % block_size == 0 && part.length % block_size == 0;
    if (!same && (ok || whole)) return;
    if (same) blocks = std::move(made);
    fits.push_back({owner, u64{1} << index, same});
  };
  for (size_t owner = 0; owner < group.members.size(); ++owner) {
    const Request& request = *group.members[owner];
    for (size_t index = 0; under_way(request, replaying) && index < request.parts.size(); ++index) look(owner, index);
  }
  return go_on(group, [&](const Explanation& before, std::vector<Explanation>& after) {
    const auto open = [&](const Fit& fit) {
      const Share& share = before.shares[fit.owner];
      return ((share.parts | share.parts_refused) & fit.bit) == 0;
    };
    const bool sure = std::any_of(fits.begin(), fits.end(), [&](const Fit& fit) { return fit.sure && open(fit); });
    for (const Fit& fit : fits) {
      if (fit.sure != sure || !open(fit)) continue;
      after.push_back(before);
      Share& share = after.back().shares[fit.owner];
      (ok ? share.parts : share.parts_refused) |= fit.bit;
      share.refused = share.refused || !ok;
      if (ok) share.last = place;
    }
  });
}

/// Zeroing goes from front to back, in pieces of any length.
bool Claims::claim_zeroes(RecordPlace place, RootId head, u64 first, u64 count, bool ok, bool replaying) {
  const auto at = groups_.find(head);
  if (at == groups_.end()) return false;
  Group& group = at->second;
  return go_on(group, [&](const Explanation& before, std::vector<Explanation>& after) {
    for (size_t owner = 0; owner < group.members.size(); ++owner) {
      const Request& request = *group.members[owner];
      const Share& had = before.shares[owner];
      if (!under_way(request, replaying) || had.refused || request.first == request.end) continue;
      if (first != request.first + had.zeroed || first + count > request.end) continue;
      after.push_back(before);
      Share& share = after.back().shares[owner];
      share.zeroed += ok ? count : 0;
      share.refused = !ok;
      if (ok) share.last = place;
    }
  });
}

}  // namespace brindle::sim
