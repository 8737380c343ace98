// commands.cc: checks what is asked, and turns it into one record of the log.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/names.h"
#include "base/planted.h"
#include "base/uuid.h"
#include "volume/core.h"

namespace brindle {

namespace {

constexpr size_t labels_bytes_max = 8 * KiB;
constexpr int room_tries_max = 16;

Status check_labels(const Labels& labels) {
  if (labels.size() > labels_max) {
    return Error{Code::invalid, fmt::format("{} labels are too many: at most {}", labels.size(), labels_max)};
  }
  size_t bytes = 0;
  for (const auto& [key, value] : labels) {
    bytes += key.size() + value.size();
    if (key.empty() || key.size() > label_key_size_max) {
      return Error{Code::invalid, fmt::format("a label's key has 1 to {} bytes", label_key_size_max)};
    }
    if (value.size() > label_value_size_max) {
      return Error{Code::invalid, fmt::format("the label {} is too long: at most {} bytes", key, label_value_size_max)};
    }
    for (const std::string* text : {&key, &value}) {
      const bool plain = std::all_of(text->begin(), text->end(), [](char c) { return static_cast<u8>(c) >= ' ' && c != 0x7f; });
      if (!plain) return Error{Code::invalid, "a label has a control character"};
    }
    if (key.find('=') != std::string::npos) return Error{Code::invalid, "a label's key has a = in it"};
  }
  if (bytes > labels_bytes_max) {
    return Error{Code::invalid, fmt::format("the labels are too long: at most {} bytes together", labels_bytes_max)};
  }
  return {};
}

Error not_a(std::string_view what, std::string_view name) {
  return {Code::invalid, what == "volume" ? fmt::format("{} is a snapshot, and this needs a volume", name)
                                          : fmt::format("{} is a volume, and this needs a snapshot: VOLUME@SNAP", name)};
}

Error protected_error(const Entry& entry) {
  return {Code::is_protected, fmt::format("{0} is protected: `brindle snapshot unprotect {0}` first", entry.full_name())};
}

}  // namespace

Status EngineCore::writable() const {
  if (stopping_) return Error{Code::stopping, "the daemon is stopping"};
  if (pool_.latched()) return Error{Code::read_only, pool_.latched()->message};
  return {};
}

Status EngineCore::has_room() const {
  if (pool_.free() > 0) return {};
  return Error{Code::no_space, "the pool is full: delete volumes or snapshots, or grow it"};
}

NewEntry EngineCore::new_entry(std::string name) {
  return {catalog_.next_id++, next_root_++, std::move(name), fresh_uuid()};
}

/// Checks, logs, applies and makes durable. The next command is checked once this one is applied. The command puts other
/// content into the volumes `exchanged` (or into those of snapshots that it names): a write of part of a block that read the
/// rest before would bring some of the old back, so none may be under way.
template <class Plan>
Task<Status> EngineCore::commit(Plan plan, std::vector<std::string> exchanged) {
  const UnderWay under_way(*this);
  co_await commanding_.acquire();
  std::vector<std::shared_ptr<RangeLocks>> barred;
  for (const std::string& name : exchanged) {
    const auto entry = catalog_.lookup(name);
    if (!entry) continue;
    const Entry& volume = (*entry)->is_snapshot() ? *(*entry)->volume : **entry;
    if (volume.deleted()) continue;
    barred.push_back(locks(volume.record.root));
    barred.back()->bar();
  }
  for (const auto& locked : barred) {
    while (!locked->none_alone()) co_await locked->freed();
  }
  Status status = writable();
  if (status) {
    Result<Command> command = plan();
    if (command) {
      status = co_await pool_.command(std::move(command).value());
    } else {
      status = command.error();
    }
  }
  for (const auto& locked : barred) locked->unbar();
  commanding_.release();
  if (status && !planted(Plant::command_unflushed)) status = co_await pool_.flush();
  co_return status;
}

/// The same for something new: it waits for room as a write does, and others may take what it waited for.
template <class Plan>
Task<Status> EngineCore::commit_with_room(Plan plan) {
  const UnderWay under_way(*this);
  for (int tries = 0;; ++tries) {
    Status status = co_await commit(plan);
    if (status || status.code() != Code::no_space || tries == room_tries_max) co_return status;
    status = co_await pool_.wait_for_room();
    if (!status) co_return status;
  }
}

// --- creating -------------------------------------------------------------------------------------------------------

Status EngineCore::check_new_volume(std::string_view name) const {
  if (auto status = check_name(name); !status) return status;
  const Entry* const there = catalog_.volume_named(name);
  if (there == nullptr) return {};
  if (there->deleted()) {
    return Error{Code::exists, fmt::format("snapshots of a deleted volume {0} are left and hold its name: `brindle "
                                           "snapshot list {0}`",
                                           name)};
  }
  return Error{Code::exists, fmt::format("there is a volume {} already: choose another name", name)};
}

Task<Result<EntryInfo>> EngineCore::volume_create(std::string name, u64 size, Labels labels) {
  EntryInfo made;
  const auto plan = [&]() -> Result<Command> {
    if (auto status = check_new_volume(name); !status) return status.error();
    if (auto status = check_size(size); !status) return status.error();
    if (auto status = check_labels(labels); !status) return status.error();
    if (auto status = has_room(); !status) return status.error();
    CreateVolume command{new_entry(name), size, runtime_.wall_ns(), labels};
    made.id = command.volume.entry;
    made.name = name;
    made.uuid = uuid_text(command.volume.uuid);
    made.size = size;
    made.created_ns = command.created_ns;
    made.labels = labels;
    return Command(std::move(command));
  };
  Status status = co_await commit_with_room(plan);
  if (!status) co_return status.error();
  co_return made;  // as it was made: by now somebody may have renamed or deleted it
}

Result<Command> EngineCore::plan_snapshots(const std::vector<std::string>& names, const Labels& labels) {
  if (auto status = check_labels(labels); !status) return status.error();
  if (auto status = has_room(); !status) return status.error();
  CreateSnapshots command{{}, runtime_.wall_ns(), labels};
  std::set<std::string> seen_names;
  for (const std::string& name : names) {
    auto parsed = parse_name(name);
    if (!parsed) return parsed.error();
    if (parsed->snapshot.empty()) {
      return Error{Code::invalid, fmt::format("{} names no snapshot: give VOLUME@SNAP", name)};
    }
    auto volume = catalog_.lookup(parsed->volume);
    if (!volume) return volume.error();
    if ((*volume)->snapshots.count(parsed->snapshot) > 0 || !seen_names.insert(name).second) {
      return Error{Code::exists, fmt::format("there is a snapshot {} already: choose another name", name)};
    }
    command.snapshots.push_back({(*volume)->record.id, new_entry(parsed->snapshot)});
  }
  if (names.empty()) return Error{Code::invalid, "no snapshot is named"};
  return Command(std::move(command));
}

Task<Status> EngineCore::snapshot_create(std::vector<std::string> names, Labels labels) {
  while (planted(Plant::group_in_parts) && names.size() > 1) {
    const std::vector<std::string> one(1, names.back());
    const auto plan_one = [&] { return plan_snapshots(one, labels); };
    if (auto status = co_await commit_with_room(plan_one); !status) co_return status;
    names.pop_back();
  }
  const auto plan = [&] { return plan_snapshots(names, labels); };
  co_return co_await commit_with_room(plan);
}

Result<Command> EngineCore::plan_clones(const std::string& source, const std::vector<std::string>& names,
                                        const Labels& labels) {
  auto from = catalog_.lookup(source);
  if (!from) return from.error();
  if (names.empty()) return Error{Code::invalid, "no clone is named"};
  if (auto status = check_labels(labels); !status) return status.error();
  if (auto status = has_room(); !status) return status.error();
  CreateClones command{(*from)->record.id, 0, {}, runtime_.wall_ns(), labels};
  std::set<std::string> seen_names;
  for (const std::string& name : names) {
    if (auto status = check_new_volume(name); !status) return status.error();
    if (!seen_names.insert(name).second) return Error{Code::exists, fmt::format("{} is named twice: name each clone once", name)};
    command.clones.push_back(new_entry(name));
  }
  if (!(*from)->is_snapshot()) command.hidden = next_root_++;
  return Command(std::move(command));
}

Task<Status> EngineCore::clone(std::string source, std::vector<std::string> names, Labels labels) {
  const auto plan = [&] { return plan_clones(source, names, labels); };
  co_return co_await commit_with_room(plan);
}

// --- changing -------------------------------------------------------------------------------------------------------

Result<Command> EngineCore::plan_rollback(const std::vector<std::string>& snapshots, bool discard, bool force,
                                          std::vector<std::string>& saved) {
  RollBack command{{}, runtime_.wall_ns()};
  if (snapshots.empty()) return Error{Code::invalid, "no snapshot is named"};
  std::set<const Entry*> volumes;
  for (const std::string& name : snapshots) {
    auto snapshot = catalog_.lookup(name);
    if (!snapshot) return snapshot.error();
    if (!(*snapshot)->is_snapshot()) return not_a("snapshot", name);
    const Entry& volume = *(*snapshot)->volume;
    if (volume.deleted()) {
      return Error{Code::not_found, fmt::format("the volume {0} was deleted: `brindle clone {1} NEW` brings it back under "
                                                "another name",
                                                volume.record.name, name)};
    }
    if (!volumes.insert(&volume).second) {
      return Error{Code::invalid, fmt::format("{} is named twice: it can go back to one snapshot only", volume.record.name)};
    }
    if (volume.writers > 0 && !force) {
      return Error{Code::busy, fmt::format("{} is open for writing by {} client(s): stop them, or give --force",
                                           volume.record.name, volume.writers)};
    }
    RollBack::One one{volume.record.id, (*snapshot)->record.id, {}};
    if (discard) {
      one.saved.root = next_root_++;
    } else {
      u64 number = volume.record.saved_count + 1;
      while (volume.snapshots.count(fmt::format("before-rollback-{}", number)) > 0) ++number;
      one.saved = new_entry(fmt::format("before-rollback-{}", number));
      saved.push_back(volume.record.name + "@" + one.saved.name);
    }
    command.volumes.push_back(std::move(one));
  }
  return Command(std::move(command));
}

Task<Result<std::vector<std::string>>> EngineCore::rollback(std::vector<std::string> snapshots, bool discard,
                                                            bool force) {
  std::vector<std::string> saved;
  const auto plan = [&] { return plan_rollback(snapshots, discard, force, saved); };
  Status status = co_await commit(plan, snapshots);
  if (!status) co_return status.error();
  co_return saved;
}

Result<Command> EngineCore::plan_rename(const std::string& from, const std::string& to) {
  auto entry = catalog_.lookup(from);
  if (!entry) return entry.error();
  auto parsed = parse_name(to);
  if (!parsed) return parsed.error();
  if (!(*entry)->is_snapshot()) {
    if (!parsed->snapshot.empty()) return not_a("volume", to);
    if (auto status = check_new_volume(to); !status) return status.error();
    return Command(RenameEntry{(*entry)->record.id, to});
  }
  const Entry& volume = *(*entry)->volume;
  if (parsed->snapshot.empty() || parsed->volume != volume.record.name) {
    return Error{Code::invalid, fmt::format("a snapshot stays with its volume: rename it to {}@NEW", volume.record.name)};
  }
  if (volume.snapshots.count(parsed->snapshot) > 0) {
    return Error{Code::exists, fmt::format("there is a snapshot {} already: choose another name", to)};
  }
  return Command(RenameEntry{(*entry)->record.id, parsed->snapshot});
}

Task<Status> EngineCore::rename(std::string from, std::string to) {
  const auto plan = [&] { return plan_rename(from, to); };
  co_return co_await commit(plan);
}

Task<Status> EngineCore::snapshot_protect(std::string name, bool on) {
  const auto plan = [&]() -> Result<Command> {
    auto entry = catalog_.lookup(name);
    if (!entry) return entry.error();
    if (!(*entry)->is_snapshot()) return not_a("snapshot", name);
    return Command(ProtectEntry{(*entry)->record.id, on});
  };
  co_return co_await commit(plan);
}

Task<Status> EngineCore::set_labels(std::string name, Labels labels) {
  const auto plan = [&]() -> Result<Command> {
    auto entry = catalog_.lookup(name);
    if (!entry) return entry.error();
    if (auto status = check_labels(labels); !status) return status.error();
    return Command(LabelEntry{(*entry)->record.id, labels});
  };
  co_return co_await commit(plan);
}

Task<Status> EngineCore::change_labels(std::string name, Labels set, std::vector<std::string> removed) {
  const auto plan = [&]() -> Result<Command> {
    auto entry = catalog_.lookup(name);
    if (!entry) return entry.error();
    LabelMap labels = (*entry)->record.labels;
    for (const std::string& key : removed) labels.erase(key);
    for (const auto& [key, value] : set) labels[key] = value;
    if (auto status = check_labels(labels); !status) return status.error();
    return Command(LabelEntry{(*entry)->record.id, std::move(labels)});
  };
  co_return co_await commit(plan);
}

Result<Command> EngineCore::plan_resize(const std::string& name, u64 size, bool force) {
  auto entry = catalog_.lookup(name);
  if (!entry) return entry.error();
  if ((*entry)->is_snapshot()) return not_a("volume", name);
  if (auto status = check_size(size); !status) return status.error();
  ResizeVolume command{(*entry)->record.id, size, 0};
  if (size < (*entry)->record.size) {
    if (!force) {
      return Error{Code::invalid, fmt::format("{} would lose what lies beyond {} bytes: give --force to shrink it", name,
                                              size)};
    }
    command.hidden = next_root_++;
  }
  return Command(command);
}

Task<Status> EngineCore::volume_resize(std::string name, u64 size, bool force) {
  const auto plan = [&] { return plan_resize(name, size, force); };
  std::vector<std::string> exchanged(1, name);
  co_return co_await commit(plan, std::move(exchanged));
}

// --- removing -------------------------------------------------------------------------------------------------------

Result<std::vector<Entry*>> EngineCore::resolve(const std::vector<std::string>& names, bool with_snapshots) const {
  std::vector<Entry*> entries;
  std::set<const Entry*> there;
  const auto add = [&](Entry* entry) {
    if (there.insert(entry).second) entries.push_back(entry);
  };
  for (const std::string& name : names) {
    // With its snapshots, a volume of which only they are left can be named too.
    Entry* const left = with_snapshots ? catalog_.volume_named(name) : nullptr;
    if (left == nullptr || !left->deleted()) {
      auto entry = catalog_.lookup(name);
      if (!entry) return entry.error();
      add(*entry);
    }
    if (left == nullptr) continue;
    for (const auto& [own, snapshot] : left->snapshots) add(snapshot);
  }
  if (entries.empty()) return Error{Code::invalid, "nothing is named"};
  return entries;
}

Result<Command> EngineCore::plan_remove(const std::vector<std::string>& names, bool with_snapshots, bool force) {
  auto entries = resolve(names, with_snapshots);
  if (!entries) return entries.error();
  RemoveEntries command;
  for (const Entry* entry : *entries) {
    if (entry->record.is_protected) return protected_error(*entry);
    const u64 clients = entry->readers + entry->writers;
    if (clients > 0 && !force) {
      return Error{Code::busy, fmt::format("{} is open by {} client(s): stop or detach them, or give --force",
                                           entry->full_name(), clients)};
    }
    command.entries.push_back(entry->record.id);
  }
  return Command(std::move(command));
}

Task<Status> EngineCore::remove(std::vector<std::string> names, bool with_snapshots, bool force) {
  const auto plan = [&] { return plan_remove(names, with_snapshots, force); };
  co_return co_await commit(plan);
}

}  // namespace brindle
