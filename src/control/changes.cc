// changes.cc: rolling back and deleting.
#include <algorithm>

#include <fmt/format.h>

#include "control/api.h"
#include "control/problem.h"

namespace brindle::control {

namespace {

constexpr int tries_max = 8;

void write_names(JsonWriter& to, std::string_view key, const std::vector<std::string>& names) {
  to.key(key).begin_array();
  for (const std::string& name : names) to.value(name);
  to.end_array();
}

/// What a deletion is about: the names that are there, and with their snapshots where that was asked for.
struct Found {
  std::vector<std::string> names;   // to give to the engine
  std::vector<std::string> all;     // that will be gone
};

}  // namespace

Answer Api::rollback(Call& call) {
  const auto snapshots = call.body.texts("snapshots");
  const bool discard = call.body.flag("discard");
  const bool force = call.body.flag("force");
  const bool wait = call.body.flag("wait");
  call.body.require("snapshots");
  if (auto status = call.finish(); !status) return problem(status.error());
  auto saved = call_blocking(home_, [&] { return engine_.rollback(snapshots, discard, force); });
  if (!saved) return problem(saved.error());
  if (wait) {
    if (auto status = wait_for_reclaim(); !status) return problem(status.error());
  }
  JsonWriter to;
  write_names(to.begin_object(), "saved", *saved);
  to.end_object();
  return document(to);
}

Answer Api::remove(Call& call) {
  auto names = call.body.texts("names");
  const bool with_snapshots = call.body.flag("with_snapshots");
  const bool force = call.body.flag("force");
  const bool dry_run = call.body.flag("dry_run");
  const bool if_exists = call.body.flag("if_exists");
  const bool wait = call.body.flag("wait");
  call.body.require("names");
  if (auto status = call.finish(); !status) return problem(status.error());
  if (names.empty()) return problem({Code::invalid, "nothing is named"});

  const auto look = [&]() -> Result<Found> {
    Found found;
    for (const std::string& name : names) {
      auto entry = engine_.show(name);
      if (!entry && entry.code() != Code::not_found) return entry.error();
      std::vector<EntryInfo> snapshots;
      // With its snapshots, a volume of which only they are left can be named too.
      if (with_snapshots && name.find('@') == std::string::npos) snapshots = engine_.list(true, name);
      if (!entry && snapshots.empty()) {
        if (if_exists) continue;
        return entry.error();
      }
      found.names.push_back(name);
      if (entry) found.all.push_back(name);
      for (const EntryInfo& snapshot : snapshots) found.all.push_back(snapshot.name);
    }
    std::sort(found.all.begin(), found.all.end());
    found.all.erase(std::unique(found.all.begin(), found.all.end()), found.all.end());
    return found;
  };
  for (int left = tries_max;; --left) {
    auto found = ask_blocking(home_, look);
    if (!found) return problem(found.error());
    JsonWriter to;
    to.begin_object();
    Status status;
    if (dry_run) {
      u64 frees = 0;
      if (!found->names.empty()) {
        auto counted = call_blocking(home_, [&] { return engine_.frees(found->names, with_snapshots); });
        if (counted) {
          frees = *counted;
        } else {
          status = counted.error();
        }
      }
      write_names(to, "names", found->all);
      to.member("frees", frees);
    } else {
      if (!found->names.empty()) {
        status = call_blocking(home_, [&] { return engine_.remove(found->names, with_snapshots, force); });
      }
      if (status && wait) status = wait_for_reclaim();
      write_names(to, "deleted", found->all);
    }
    if (!status && if_exists && status.code() == Code::not_found && left > 0) continue;  // somebody else was faster
    if (!status) return problem(status.error());
    to.end_object();
    return document(to);
  }
}

}  // namespace brindle::control
