// lists.cc: long answers: lists, the tree, space and differences. What is long is asked for and sent in pieces.
#include <algorithm>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "control/api.h"
#include "control/problem.h"

namespace brindle::control {

namespace {

constexpr size_t entries_a_piece = 1024;   // of an answer: some hundred KiB of JSON
constexpr size_t ranges_a_piece = 8192;
constexpr u64 unknown_key = std::numeric_limits<u64>::max();

void sort_items(std::vector<ListItem>& items, ListKey key, bool reverse) {
  if (key == ListKey::name) {
    if (reverse) std::reverse(items.begin(), items.end());
    return;
  }
  // What is not known comes last, whichever way the list is sorted.
  std::stable_sort(items.begin(), items.end(), [reverse](const ListItem& a, const ListItem& b) {
    if ((a.key == unknown_key) != (b.key == unknown_key)) return b.key == unknown_key;
    return reverse ? b.key < a.key : a.key < b.key;
  });
}

/// An array of which `piece(to)` writes some elements a call, until it returns false.
template <class Piece>
Answer array_in_pieces(Piece piece) {
  struct State {
    JsonWriter to;
    Piece piece;
    bool ended = false;
  };
  const auto state = std::make_shared<State>(State{JsonWriter(), std::move(piece)});
  const auto next = [state]() -> std::string {
    while (!state->ended && state->to.size() == 0) {
      if (state->piece(state->to)) continue;
      state->ended = true;
      state->to.end_array();
      return state->to.take() + "\n";
    }
    return state->to.take();
  };
  state->to.begin_array();
  Answer answer;
  answer.body = state->to.take();
  answer.body += next();
  if (!state->ended) {
    // Was that all, it goes out as one.
    std::string second = next();
    answer.body += second;
  }
  if (!state->ended) answer.more = next;
  return answer;
}

}  // namespace

Answer Api::list(Call& call, bool snapshots) {
  Query& query = call.query;
  ListQuery what{snapshots, snapshots ? query.text("volume") : std::string(), query.labels()};
  const ListKey key = query.sort();
  const bool reverse = query.flag("reverse");
  const u64 offset = query.number("offset", 0);
  const u64 limit = query.number("limit", std::numeric_limits<u64>::max());
  if (auto status = call.finish(); !status) return problem(status.error());
  std::vector<ListItem> found = items(what, key);
  if (found.empty() && !what.volume.empty()) {
    if (auto volume = find_kind(what.volume, false); !volume) return problem(volume.error());
  }
  sort_items(found, key, reverse);
  const u64 first = std::min<u64>(offset, found.size());
  const u64 end = first + std::min<u64>(limit, found.size() - first);
  return array_in_pieces([this, found = std::move(found), at = first, end](JsonWriter& to) mutable {
    if (at == end) return false;
    std::vector<u64> ids;
    for (; at < end && ids.size() < entries_a_piece; ++at) ids.push_back(found[at].id);
    for (const EntryInfo& entry : infos(std::move(ids))) write_entry(to, entry);
    return true;
  });
}

Answer Api::tree(Call& call) {
  if (auto status = call.finish(); !status) return problem(status.error());
  const std::vector<TreeNode> nodes = ask_blocking(home_, [this] { return engine_.tree(); });
  struct Placed {
    u64 id;
    u64 depth;
  };
  // Each right behind its parent's, the older before the younger: from a stack, since a family may be 100,000 deep.
  std::unordered_map<u64, std::vector<u64>> children;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) children[node->parent].push_back(node->id);
  std::vector<Placed> placed;
  placed.reserve(nodes.size());
  std::vector<Placed> stack;
  for (u64 id : children[0]) stack.push_back({id, 0});
  while (!stack.empty()) {
    const Placed one = stack.back();
    stack.pop_back();
    placed.push_back(one);
    const auto own = children.find(one.id);
    if (own == children.end()) continue;
    for (u64 id : own->second) stack.push_back({id, one.depth + 1});
  }
  children.clear();
  return array_in_pieces([this, placed = std::move(placed), at = size_t{0}, line = std::vector<std::string>()](
                             JsonWriter& to) mutable {
    if (at == placed.size()) return false;
    const size_t end = std::min(placed.size(), at + entries_a_piece);
    std::vector<u64> ids;
    for (size_t i = at; i < end; ++i) ids.push_back(placed[i].id);
    for (const EntryInfo& entry : infos(std::move(ids))) {
      while (placed[at].id != entry.id) ++at;  // deleted meanwhile
      const u64 depth = placed[at++].depth;
      line.resize(depth + 1);
      line[depth] = entry.name;
      to.begin_object().member("name", entry.name).member("kind", entry.is_snapshot ? "snapshot" : "volume");
      to.member("parent", depth > 0 ? std::string_view(line[depth - 1]) : std::string_view()).member("depth", depth);
      to.member("size", entry.size).member("referenced", entry.referenced).member("exclusive", entry.exclusive);
      to.member("created", time_text(entry.created_ns)).end_object();
    }
    at = end;
    return true;
  });
}

Answer Api::space(Call& call) {
  const std::vector<std::string> names = call.query.texts("name");
  if (auto status = call.finish(); !status) return problem(status.error());
  std::vector<u64> ids;
  if (names.empty()) {
    for (bool snapshots : {false, true}) {
      for (const ListItem& item : items({snapshots, "", {}}, ListKey::name)) ids.push_back(item.id);
    }
  }
  for (const std::string& name : names) {
    auto entry = find(name);
    if (!entry) return problem(entry.error());
    ids.push_back(entry->id);
  }
  // Each is counted when its turn to be sent comes; the first ones before anything is sent, so that an error can be told.
  const auto measure = [this](u64 id) -> Result<EntryInfo> {
    const auto now = infos({id});
    if (now.empty()) return Error{Code::not_found, "it was deleted meanwhile"};
    return call_blocking(home_, [this, name = now[0].name] { return engine_.measure(name); });
  };
  const auto write = [](JsonWriter& to, const EntryInfo& entry) {
    to.begin_object().member("name", entry.name).member("kind", entry.is_snapshot ? "snapshot" : "volume");
    to.member("size", entry.size).member("referenced", entry.referenced).member("exclusive", entry.exclusive);
    to.end_object();
  };
  if (!names.empty()) {
    JsonWriter to;
    to.begin_array();
    for (u64 id : ids) {
      auto entry = measure(id);
      if (!entry) return problem(entry.error());
      write(to, *entry);
    }
    to.end_array();
    return document(to);
  }
  return array_in_pieces([this, measure, write, ids = std::move(ids), at = size_t{0}](JsonWriter& to) mutable {
    for (size_t left = entries_a_piece; left > 0 && at < ids.size(); --left, ++at) {
      auto entry = measure(ids[at]);
      if (entry) {
        write(to, *entry);
        continue;
      }
      // Deleted meanwhile: left out. Its map cannot be read: what it takes is not known.
      for (const EntryInfo& damaged : infos({ids[at]})) write(to, damaged);
    }
    return at < ids.size() || to.size() > 0;
  });
}

Answer Api::diff(Call& call) {
  const std::string from = call.query.text("from");
  const std::string to_name = call.query.text("to");
  call.query.require("from");
  call.query.require("to");
  if (auto status = call.finish(); !status) return problem(status.error());
  auto ranges = call_blocking(home_, [&] { return engine_.diff(from, to_name); });
  if (!ranges) return problem(ranges.error());
  return array_in_pieces([ranges = std::move(ranges).value(), at = size_t{0}](JsonWriter& to) mutable {
    if (at == ranges.size()) return false;
    const size_t end = std::min(ranges.size(), at + ranges_a_piece);
    for (; at < end; ++at) {
      to.begin_object().member("offset", ranges[at].offset).member("length", ranges[at].length);
      to.member("kind", ranges[at].kind == Change::zero ? "zero" : "data").end_object();
    }
    return true;
  });
}

}  // namespace brindle::control
