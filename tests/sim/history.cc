#include "sim/history.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace brindle::sim {

namespace {

constexpr std::string_view profile_names[] = {"plain",     "many lanes", "tiny cache", "nearly full", "full host",
                                              "deletions", "aging",      "errors",     "damage"};
constexpr std::string_view op_names[] = {
    "read",   "write",  "zero",   "discard", "flush",   "create", "snapshot",  "clone", "rollback",
    "resize", "rename", "label",  "protect", "remove",  "frees",  "measure",   "extents", "diff",
    "list",   "sync",   "scrub",  "check",   "tidy",   "grow",    "pause",  "fault: a call fails once",
    "fault: reads fail", "fault: writes fail", "fault: a flush fails", "fault: the host is full, or no more", "fault: slow calls", "fault: slow reads",
    "fault: a stuck call", "fault: a bad block", "fault: a lost write", "fault: a misdirected write",
    "settle", "reopen", "kill", "power loss"};

}  // namespace

std::string_view profile_name(Profile profile) { return profile_names[static_cast<size_t>(profile)]; }
std::string_view op_name(OpKind kind) { return op_names[static_cast<size_t>(kind)]; }

std::string text(const Op& op) {
  if (ends_phase(op.kind)) {
    std::string out = fmt::format("{:4}  -- {}", op.index, op_name(op.kind));
    const auto after = [](u64 flushes, u64 steps) {
      return flushes > 0 ? fmt::format(" after {} flushes and {} steps", flushes, steps) : fmt::format(" after {} steps", steps);
    };
    if (op.kind >= OpKind::kill && op.moves > 0) out += fmt::format(", once {} chunks are compacted", op.moves);
    if (op.kind >= OpKind::kill) out += op.steps == ~u64{0} ? ", when all is done" : after(op.flushes, op.steps);
    if (op.cuts_recovery) out += ", the recovery cut short" + after(op.recovery_flushes, op.recovery_steps);
    if (op.flag) out += ", opened read-only first";
    if (op.flips > 0) out += fmt::format(", {} bits rot", op.flips);
    return out;
  }
  std::string out = fmt::format("{:4}  {}: {}", op.index, op.lane, op_name(op.kind));
  if (!op.name.empty() && !is_fault(op.kind)) out += " " + op.name;
  if (!op.names.empty()) out += fmt::format(" {}", fmt::join(op.names, " "));
  switch (op.kind) {
    case OpKind::read: case OpKind::write: case OpKind::zero: case OpKind::discard:
      out += fmt::format(" {} + {}{}{}", op.offset, op.length, op.fua ? " fua" : "", op.flag ? ", by the handle held" : "");
      break;
    case OpKind::create: case OpKind::resize: case OpKind::grow: out += fmt::format(" {}", op.length); break;
    case OpKind::pause: case OpKind::fault_slow: case OpKind::fault_slow_reads: out += fmt::format(" {} ms", op.length / 1'000'000); break;
    case OpKind::rollback: out += op.flag ? " discard" : ""; break;
    case OpKind::protect: out += op.flag ? " on" : " off"; break;
    case OpKind::remove: case OpKind::frees: out += op.flag ? " with snapshots" : ""; break;
    default: break;
  }
  return out;
}

History keep_only(const History& history, const std::vector<u64>& keep) {
  History out = history;
  out.ops.clear();
  for (const Op& op : history.ops) {
    if (std::binary_search(keep.begin(), keep.end(), op.index)) out.ops.push_back(op);
  }
  if (out.ops.empty() || !ends_phase(out.ops.back().kind)) {
    out.ops.push_back({.kind = OpKind::settle, .index = history.ops.size(), .look = true, .count = true, .seed = history.seed});
  }
  return out;
}

std::string keep_text(const std::vector<u64>& keep) {
  std::string out;
  for (size_t i = 0; i < keep.size();) {
    size_t end = i + 1;
    while (end < keep.size() && keep[end] == keep[end - 1] + 1) ++end;
    if (!out.empty()) out += ",";
    out += end == i + 1 ? fmt::format("{}", keep[i]) : fmt::format("{}-{}", keep[i], keep[end - 1]);
    i = end;
  }
  return out;
}

std::optional<std::vector<u64>> parse_keep(std::string_view text) {
  constexpr u64 items_max = 100'000;
  std::vector<u64> keep;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    u64 first = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc()) return std::nullopt;
    u64 last = first;
    if (read.ptr != end && *read.ptr == '-') {
      read = std::from_chars(read.ptr + 1, end, last);
      if (read.ec != std::errc()) return std::nullopt;
    }
    if (last < first || last >= items_max || (!keep.empty() && first <= keep.back())) return std::nullopt;
    for (; first <= last; ++first) keep.push_back(first);
    at = read.ptr;
    if (at == end) break;
    if (*at != ',' || ++at == end) return std::nullopt;
  }
  return keep;
}

}  // namespace brindle::sim
