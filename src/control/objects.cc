// objects.cc: volumes, snapshots and clones: making, showing and changing them.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "control/api.h"
#include "control/problem.h"

namespace brindle::control {

namespace {

// Somebody else may make one of the names between the look and the act; then there is a new look.
constexpr int tries_max = 8;

Answer entry_document(const EntryInfo& entry, unsigned status = 200) {
  JsonWriter to;
  write_entry(to, entry);
  return document(to, status);
}

/// What a request has to say of labels: the whole new set, or which to set and which to remove.
struct NewLabels {
  explicit NewLabels(Body& body)
      : all(body.labels("labels")),
        set(body.labels("set_labels")),
        removed(body.texts("remove_labels")),
        whole(body.has("labels")),
        ways(int{whole} + (body.has("set_labels") || body.has("remove_labels"))) {}
  Task<Status> give(Engine& engine, const std::string& name) const {
    return whole ? engine.set_labels(name, all) : engine.change_labels(name, set, removed);
  }

  Labels all, set;
  std::vector<std::string> removed;
  bool whole;
  int ways;  // of the two
};

}  // namespace

template <class Make>
Result<size_t> Api::create_all(std::vector<std::string> names, bool if_not_exists, bool snapshots, Make make) {
  for (int left = tries_max;; --left) {
    std::vector<std::string> missing = names;
    if (if_not_exists) {
      const auto there = ask_blocking(home_, [&] {
        std::set<std::string> there_now;
        for (const std::string& name : names) {
          auto entry = engine_.show(name);
          if (entry && entry->is_snapshot == snapshots) there_now.insert(name);
        }
        return there_now;
      });
      std::erase_if(missing, [&](const std::string& name) { return there.count(name) > 0; });
      if (missing.empty() && !names.empty()) return size_t{0};
    }
    const size_t count = missing.size();
    const Status status = call_blocking(home_, [&] { return make(missing); });
    if (status) return count;
    if (!if_not_exists || status.code() != Code::exists || left == 0) return status.error();
  }
}

Answer Api::entries(unsigned status, const std::vector<std::string>& names) {
  const auto found = ask_blocking(home_, [&] {
    std::vector<EntryInfo> entries;
    entries.reserve(names.size());
    for (const std::string& name : names) {
      if (auto entry = engine_.show(name)) entries.push_back(std::move(*entry));
    }
    return entries;
  });
  JsonWriter to;
  to.begin_array();
  for (const EntryInfo& entry : found) write_entry(to, entry);
  to.end_array();
  return document(to, status);
}

Answer Api::volume_list(Call& call) { return list(call, false); }
Answer Api::snapshot_list(Call& call) { return list(call, true); }

Answer Api::volume_create(Call& call) {
  const std::string name = call.body.text("name");
  const u64 size = call.body.size("size");
  const Labels labels = call.body.labels("labels");
  const bool if_not_exists = call.body.flag("if_not_exists");
  call.body.require("name");
  call.body.require("size");
  if (auto status = call.finish(); !status) return problem(status.error());
  auto made = call_blocking(home_, [&] { return engine_.volume_create(name, size, labels); });
  if (made) return entry_document(*made, 201);
  if (if_not_exists && made.code() == Code::exists) {
    // A deleted volume whose snapshots hold the name is not there, and cannot be made either: then the error stands.
    if (auto there = find_kind(name, false)) return entry_document(*there);
  }
  return problem(made.error());
}

Answer Api::show(Call& call, bool snapshot) {
  const bool measure = call.query.flag("measure");
  if (auto status = call.finish(); !status) return problem(status.error());
  auto entry = find_kind(call.name, snapshot);
  if (entry && measure) entry = call_blocking(home_, [&] { return engine_.measure(call.name); });
  return entry ? entry_document(*entry) : problem(entry.error());
}

Answer Api::volume_show(Call& call) { return show(call, false); }
Answer Api::snapshot_show(Call& call) { return show(call, true); }

Answer Api::volume_change(Call& call) {
  Body& body = call.body;
  const u64 size = body.size("size");
  const bool force = body.flag("force");
  const std::string new_name = body.text("name");
  const NewLabels labels(body);
  if (auto status = call.finish(); !status) return problem(status.error());
  if (int{body.has("size")} + body.has("name") + labels.ways != 1 || (body.has("force") && !body.has("size"))) {
    return problem({Code::invalid, "give one of {size, force?}, {name}, {labels} and {set_labels?, remove_labels?}"});
  }
  if (auto there = find_kind(call.name, false); !there) return problem(there.error());
  std::string name = call.name;
  Status status;
  if (body.has("size")) {
    status = call_blocking(home_, [&] { return engine_.volume_resize(name, size, force); });
  } else if (body.has("name")) {
    status = call_blocking(home_, [&] { return engine_.rename(name, new_name); });
    name = new_name;
  } else {
    status = call_blocking(home_, [&] { return labels.give(engine_, name); });
  }
  if (!status) return problem(status.error());
  auto changed = find(name);
  return changed ? entry_document(*changed) : problem(changed.error());
}

Answer Api::snapshot_create(Call& call) {
  const auto names = call.body.texts("names");
  const Labels labels = call.body.labels("labels");
  const bool if_not_exists = call.body.flag("if_not_exists");
  call.body.require("names");
  if (auto status = call.finish(); !status) return problem(status.error());
  const auto make = [&](std::vector<std::string> missing) { return engine_.snapshot_create(std::move(missing), labels); };
  auto made = create_all(names, if_not_exists, true, make);
  return made ? entries(*made > 0 ? 201 : 200, names) : problem(made.error());
}

Answer Api::clone(Call& call) {
  const std::string source = call.body.text("source");
  const auto names = call.body.texts("names");
  const Labels labels = call.body.labels("labels");
  const bool if_not_exists = call.body.flag("if_not_exists");
  call.body.require("source");
  call.body.require("names");
  if (auto status = call.finish(); !status) return problem(status.error());
  const auto make = [&](std::vector<std::string> missing) { return engine_.clone(source, std::move(missing), labels); };
  auto made = create_all(names, if_not_exists, false, make);
  return made ? entries(*made > 0 ? 201 : 200, names) : problem(made.error());
}

Answer Api::snapshot_change(Call& call) {
  Body& body = call.body;
  std::string new_name = body.text("name");
  const bool on = body.flag("protected");
  const NewLabels labels(body);
  if (auto status = call.finish(); !status) return problem(status.error());
  if (int{body.has("name")} + body.has("protected") + labels.ways != 1) {
    return problem({Code::invalid, "give one of {name}, {protected}, {labels} and {set_labels?, remove_labels?}"});
  }
  auto there = find_kind(call.name, true);
  if (!there) return problem(there.error());
  std::string name = call.name;
  Status status;
  if (body.has("name")) {
    if (new_name.find('@') == std::string::npos) new_name = there->volume + "@" + new_name;
    status = call_blocking(home_, [&] { return engine_.rename(name, new_name); });
    name = new_name;
  } else if (body.has("protected")) {
    status = call_blocking(home_, [&] { return engine_.snapshot_protect(name, on); });
  } else {
    status = call_blocking(home_, [&] { return labels.give(engine_, name); });
  }
  if (!status) return problem(status.error());
  auto changed = find(name);
  return changed ? entry_document(*changed) : problem(changed.error());
}

}  // namespace brindle::control
