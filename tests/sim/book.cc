#include "sim/book.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/names.h"
#include "model/world.h"

namespace brindle::sim {

using model::Block;
using model::Content;

namespace {

constexpr u64 part_bytes = 256 * KiB;  // what is atomic, and what longer requests are cut into

std::vector<Book::Part> cut(u64 offset, u64 length) {
  std::vector<Book::Part> parts;
  while (length > 0) {
    const u64 size = parts.empty() && length <= part_bytes ? length : std::min(length, part_bytes - offset % block_size);
    parts.push_back({offset, size});
    offset += size;
    length -= size;
  }
  return parts;
}

Object object_of(const NewEntry& made, EntryId volume, const Content& content, const Labels& labels) {
  Object object;
  object.id = made.entry;
  object.root = made.root;
  object.volume = volume;
  object.own = made.name;
  object.content = content;
  object.labels = labels;
  return object;
}

std::string head_of(const std::string& name) { return name.substr(0, name.find('@')); }
bool names_snapshot(const std::string& name) { return name.find('@') != std::string::npos; }

}  // namespace

// --- State ----------------------------------------------------------------------------------------------------------

const Object* State::find(EntryId id) const {
  const auto at = objects_.find(id);
  return at == objects_.end() ? nullptr : at->second.get();
}

std::string State::name_of(const Object& object) const {
  if (!object.is_snapshot()) return object.own;
  const Object* const volume = find(object.volume);
  return (volume != nullptr ? volume->own : "?") + "@" + object.own;
}

const Object* State::named(const std::string& name) const {
  for (const auto& [id, object] : objects_) {
    if (object->is_snapshot() != names_snapshot(name) || object->deleted) continue;
    if (object->is_snapshot() ? name_of(*object) == name : object->own == name) return object.get();
  }
  return nullptr;
}

const Object* State::with_root(RootId root) const {
  for (const auto& [id, object] : objects_) {
    if (object->root == root && !object->deleted) return object.get();
  }
  return nullptr;
}

bool State::taken(const std::string& volume) const {
  return std::any_of(objects_.begin(), objects_.end(),
                     [&](const auto& item) { return !item.second->is_snapshot() && item.second->own == volume; });
}

std::vector<const Object*> State::snapshots_of(EntryId volume) const {
  std::vector<const Object*> out;
  for (const auto& [id, object] : objects_) {
    if (object->volume == volume) out.push_back(object.get());
  }
  return out;
}

void State::put(Object object) {
  const EntryId id = object.id;
  objects_[id] = std::make_shared<const Object>(std::move(object));
}

void State::remove(EntryId id) {
  const auto at = objects_.find(id);
  if (at == objects_.end()) return;
  const EntryId volume = at->second->volume;
  if (volume == 0 && !snapshots_of(id).empty()) {
    Object left = *at->second;
    left.deleted = true;
    left.root = 0;
    left.content = Content();
    put(std::move(left));
    return;
  }
  objects_.erase(at);
  if (volume == 0) return;
  const Object* const of = find(volume);
  if (of != nullptr && of->deleted && snapshots_of(volume).empty()) objects_.erase(volume);
}

u64 State::live_blocks() const {
  std::unordered_set<const std::string*> live;
  for (const auto& [id, object] : objects_) {
    for (const auto& [number, block] : object->content.blocks) live.insert(block.get());
  }
  return live.size();
}

u64 State::freed_blocks(const std::set<EntryId>& ids) const {
  std::unordered_set<const std::string*> freed, kept;
  for (const auto& [id, object] : objects_) {
    auto& to = ids.count(id) > 0 ? freed : kept;
    for (const auto& [number, block] : object->content.blocks) to.insert(block.get());
  }
  u64 count = 0;
  for (const std::string* block : freed) count += kept.count(block) == 0 ? 1 : 0;
  return count;
}

// --- requests -------------------------------------------------------------------------------------------------------

std::optional<Code> Book::expected(const Op& op) const {
  const auto missing = [&](const std::string& name) -> std::optional<Code> {
    if (!parse_name(name)) return Code::invalid;
    if (now_.named(name) == nullptr) return Code::not_found;
    return std::nullopt;
  };
  const auto new_volume = [&](const std::string& name) -> std::optional<Code> {
    if (!check_name(name)) return Code::invalid;
    if (now_.taken(name)) return Code::exists;
    return std::nullopt;
  };
  switch (op.kind) {
    case OpKind::create:
      if (auto code = new_volume(op.name)) return code;
      if (!check_size(op.length)) return Code::invalid;
      break;
    case OpKind::snapshot:
      for (const std::string& name : op.names) {
        if (!names_snapshot(name)) return Code::invalid;
        if (auto code = missing(head_of(name))) return code;
        if (now_.named(name) != nullptr) return Code::exists;
      }
      break;
    case OpKind::clone:
      if (auto code = missing(op.name)) return code;
      for (const std::string& name : op.names) {
        if (auto code = new_volume(name)) return code;
      }
      break;
    case OpKind::rollback: {
      std::set<EntryId> volumes;
      for (const std::string& name : op.names) {
        if (auto code = missing(name)) return code;
        if (!names_snapshot(name)) return Code::invalid;
        const Object& snapshot = *now_.named(name);
        if (now_.find(snapshot.volume)->deleted) return Code::not_found;
        if (!volumes.insert(snapshot.volume).second) return Code::invalid;
      }
      break;
    }
    case OpKind::resize: {
      if (auto code = missing(op.name)) return code;
      const Object& object = *now_.named(op.name);
      if (object.is_snapshot() || !check_size(op.length)) return Code::invalid;
      if (op.length < object.content.size && !op.flag) return Code::invalid;
      break;
    }
    case OpKind::rename: {
      if (auto code = missing(op.name)) return code;
      const std::string& to = op.names.front();
      if (!names_snapshot(op.name)) return names_snapshot(to) ? std::optional(Code::invalid) : new_volume(to);
      if (!names_snapshot(to) || head_of(to) != head_of(op.name)) return Code::invalid;
      if (now_.named(to) != nullptr) return Code::exists;
      break;
    }
    case OpKind::protect:
      if (auto code = missing(op.name)) return code;
      if (!names_snapshot(op.name)) return Code::invalid;
      break;
    case OpKind::label:
    case OpKind::measure: return missing(op.name);
    case OpKind::diff: 
      if (auto code = missing(op.name)) return code;
      return missing(op.names.front());
    case OpKind::remove:
    case OpKind::frees: {
      std::vector<const Object*> all;
      for (const std::string& name : op.names) {
        const bool rest_only = op.flag && !names_snapshot(name) && now_.named(name) == nullptr && now_.taken(name);
        if (!rest_only) {
          if (auto code = missing(name)) return code;
          all.push_back(now_.named(name));
        }
        if (!op.flag || names_snapshot(name)) continue;
        for (const auto& [id, object] : now_.objects()) {
          if (object->is_snapshot() && now_.find(object->volume)->own == name) all.push_back(object.get());
        }
      }
      if (op.kind == OpKind::frees) break;
      for (const Object* object : all) {
        if (object->is_protected) return Code::is_protected;
      }
      break;
    }
    case OpKind::read:
    case OpKind::write:
    case OpKind::zero:
    case OpKind::discard: {
      if (auto code = missing(op.name)) return code;
      const Object& object = *now_.named(op.name);
      if (op.kind != OpKind::read && object.is_snapshot()) return Code::read_only;
      const u64 size = object.content.size;
      if (op.offset > size || op.length > size - op.offset) return Code::invalid;
      break;
    }
    case OpKind::flush:
    case OpKind::extents: return missing(op.name);
    default: break;
  }
  return std::nullopt;
}

Book::Request Book::request_of(const Op& op) const {
  Request request;
  request.op = op;
  request.expected = expected(op);
  request.names = names_version_;
  request.acked = acked_;
  const Object* const object = op.name.empty() ? nullptr : now_.named(op.name);
  if (object != nullptr) {
    request.object = object->id;
    request.root = object->root;
  }
  const u64 range_end = op.offset + op.length;
  if (op.kind == OpKind::write) {
    request.bytes = model::pattern(op.stamp, op.length);
    request.parts = cut(op.offset, op.length);
  } else if (op.kind == OpKind::zero || op.kind == OpKind::discard) {
    request.first = div_up(op.offset, block_size);
    request.end = std::max(request.first, range_end / block_size);
    const u64 last = range_end / block_size;
    if (op.kind == OpKind::zero) {
      const u64 head_end = std::min(range_end, request.first * block_size);
      if (op.offset < head_end) request.parts.push_back({op.offset, head_end - op.offset});
      if (request.first <= last && last * block_size < range_end) {
        request.parts.push_back({last * block_size, range_end - last * block_size});
      }
    }
  }
  return request;
}

Book::Ticket Book::begin(const Op& op) { return open_.insert(open_.end(), request_of(op)); }

bool Book::like_another(const Op& op) const {
  if (op.kind != OpKind::zero && op.kind != OpKind::discard) return false;
  const Request request = request_of(op);
  for (const auto* list : {&open_, &doubtful_}) {
    for (const Request& other : *list) {
      if (other.root != request.root || (other.op.kind != OpKind::zero && other.op.kind != OpKind::discard)) continue;
      if (other.first == request.first) return true;
      for (const Part& part : request.parts) {
        for (const Part& with : other.parts) {
          if (part.offset == with.offset && part.length == with.length) return true;
        }
      }
    }
  }
  return false;
}

void Book::end(Ticket ticket, const Status& status, bool excused) {
  Request& request = *ticket;
  const Op& op = request.op;
  const std::string what = text(op);
  const bool command = op.kind != OpKind::write && op.kind != OpKind::zero && op.kind != OpKind::discard;
  size_t parts_done = 0;
  for (const Part& part : request.parts) parts_done += part.applied ? 1 : 0;
  const bool whole = !request.refused && (command ? request.done
                                                  : parts_done == request.parts.size() &&
                                                        request.zeroed_blocks == request.end - request.first);
  const bool none = !request.done && parts_done == 0 && request.zeroed_blocks == 0;
  const bool steady = request.names == names_version_ || (command && request.done && request.names + 1 == names_version_);
  if (status) {
    // A discard is advice: where there is no room to note it, nothing happens.
    if (!whole && !(op.kind == OpKind::discard && excused && !request.refused)) fail_("acknowledged, and it did not take effect: " + what);
    if (request.expected && steady) fail_(fmt::format("done, and it should be refused ({}): {}", code_name(*request.expected), what));
    acked_ = std::max(acked_, request.number);
    if (op.fua || command) flushed(std::max(request.number, request.acked));
    open_.erase(ticket);
    return;
  }
  const Code code = status.code();
  const bool atomic = command || (op.kind == OpKind::write && op.length <= part_bytes);
  const bool known = request.expected && *request.expected == code;
  const bool of_names = code == Code::not_found || code == Code::exists || code == Code::invalid ||
                        code == Code::is_protected || code == Code::busy;
  if (!known && !excused && (steady || !of_names)) {
    fail_(fmt::format("refused for no reason ({}): {}", status.error().message, what));
  }
  if (request.expected && !known && steady && !excused) fail_(fmt::format("refused with {}, not {}: {}", code_name(code), code_name(*request.expected), what));
  const bool device = code == Code::io || code == Code::read_only || code == Code::corrupt;
  if (atomic && !none && !device) fail_(fmt::format("refused ({}), and yet it took effect: {}", status.error().message, what));
  if (device) {
    doubtful_.splice(doubtful_.end(), open_, ticket);
  } else {
    open_.erase(ticket);
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
    const auto held = [&](const Content& content) {
      return bytes.compare(at, part.length, content.read(part.offset, part.length)) == 0;
    };
    good = good && std::any_of(ticket->seen.begin(), ticket->seen.end(), held);
    at += part.length;
  }
  readings_.erase(ticket);
  return good;
}

void Book::put(Object object) {
  for (Reading& reading : readings_) {
    if (reading.object == object.id) reading.seen.push_back(object.content);
  }
  now_.put(std::move(object));
}

// --- records --------------------------------------------------------------------------------------------------------

State Book::state_at(u64 number) const {
  const auto at = states_.upper_bound(number);
  return at == states_.begin() ? State() : std::prev(at)->second;
}

/// Moves to the next record; what is known of it from before a crash, if it is.
Book::Effect* Book::at_record(u64 number) {
  if (number != number_) {
    if (number < number_ || (!replaying_ && number <= opened_at_)) fail_(fmt::format("batch {} takes effect after batch {}", number, number_));
    if (replaying_ && number_ == 0) now_ = state_at(number - 1);
    number_ = number;
    at_ = 0;
  }
  ++at_;
  ++changes_;
  auto& known = effects_[number];
  if (known.size() >= at_) {
    if (!replaying_) fail_(fmt::format("batch {} takes effect twice", number));
    return &known[at_ - 1];
  }
  return nullptr;
}

void Book::new_effect(Effect effect) {
  effects_[number_].push_back(std::move(effect));
}

void Book::applied(u64 number, const Command& command, const Status& status) {
  Effect* known = at_record(number);
  if (known != nullptr) {
    Writer one, other;
    encode_command(one, command);
    if (known->command) encode_command(other, *known->command);
    if (!known->command || one.take() != other.take()) fail_(fmt::format("batch {} is replayed with another command than it had", number));
  }
  if ((known == nullptr || (!known->ok && status)) && !claim(command, number, status.ok())) {
    fail_(fmt::format("a command takes effect in batch {} that nobody asked for", number));
  }
  if (known == nullptr) {
    new_effect({command, {}, {}, status.ok()});
  } else {
    known->ok = status.ok();
  }
  if (status) apply(command);
  states_[number] = now_;
}

void Book::applied(u64 number, const DataRecord& record, const Status& status) {
  Effect* const known = at_record(number);
  if (known != nullptr && (known->command || known->data.head != record.head || known->data.first_block != record.first_block ||
                           known->data.count != record.count || known->data.crcs != record.crcs)) {
    fail_(fmt::format("batch {} is replayed with other data than it had", number));
    return;
  }
  std::vector<Block> blocks = known != nullptr ? known->blocks : std::vector<Block>();
  if ((known == nullptr || (!known->ok && status)) && !claim(record, number, status.ok(), blocks)) {
    fail_(fmt::format("batch {} writes what nobody asked for: {} blocks from {} on of {}{}", number, record.count,
                      record.first_block, now_.with_root(record.head) != nullptr ? now_.name_of(*now_.with_root(record.head)) : "a volume that is gone",
                      record.zero ? ", zeroes" : ""));
    return;
  }
  if (known == nullptr) {
    new_effect({std::nullopt, record, blocks, status.ok()});
  } else {
    known->ok = status.ok();
    known->blocks = blocks;
  }
  if (status) apply(record, blocks);
  states_[number] = now_;
}

bool Book::claim(const DataRecord& record, u64 number, bool ok, std::vector<Block>& blocks) {
  if (record.zero) return claim_zeroes(record.head, record.first_block, record.count, number, ok);
  const Object* const object = now_.with_root(record.head);
  Request* owner = nullptr;
  Part* found = nullptr;
  // Of a volume that is gone nobody can say what the rest of a block was: then the place must do, where nothing fits better.
  const auto look = [&](Request& request, Part& part) {
    if (part.applied || part.refused || part.offset / block_size != record.first_block ||
        div_up(part.offset + part.length, block_size) != record.first_block + record.count) {
      return false;
    }
    Content after = object != nullptr ? object->content : Content();
    const std::string bytes = request.op.kind == OpKind::write ? request.bytes.substr(part.offset - request.op.offset, part.length)
                                                               : std::string(part.length, '\0');
    after.write(part.offset, bytes);
    std::vector<Block> made;
    bool same = true;
    for (u64 i = 0; i < record.count && same; ++i) {
      made.push_back(after.blocks.find(record.first_block + i));
      same = crc32c(std::as_bytes(std::span(*made.back()))) == record.crcs[i];
    }
    const bool whole = part.offset % block_size == 0 && part.length % block_size == 0;
    if (!same && (ok || whole || found != nullptr)) return false;
    owner = &request;
    found = &part;
    blocks = std::move(made);
    return same;
  };
  bool sure = false;
  for (auto* list : {&open_, &doubtful_}) {
    if (list == &doubtful_ && !replaying_) continue;
    for (Request& request : *list) {
      if (request.root != record.head) continue;
      for (Part& part : request.parts) sure = sure || look(request, part);
    }
  }
  if (found == nullptr) return false;
  (ok ? found->applied : found->refused) = true;
  owner->refused = owner->refused || !ok;
  owner->number = number;
  return true;
}

/// Zeroing goes from front to back, in one piece where it can.
bool Book::claim_zeroes(RootId head, u64 first, u64 count, u64 number, bool ok) {
  Request* found = nullptr;
  for (auto* list : {&open_, &doubtful_}) {
    if (list == &doubtful_ && !replaying_) continue;
    for (Request& request : *list) {
      if (request.root != head || request.refused || request.first == request.end) continue;
      if (first != request.first + request.zeroed_blocks || first + count > request.end) continue;
      if (found == nullptr || first + count == request.end) found = &request;
    }
  }
  if (found == nullptr) return false;
  found->zeroed_blocks += ok ? count : 0;
  found->refused = found->refused || !ok;
  found->number = number;
  return true;
}

bool Book::claim(const Command& command, u64 number, bool ok) {
  if (const auto* discard = std::get_if<DiscardLeaves>(&command)) {
    return claim_zeroes(discard->head, discard->first_leaf * leaf_blocks, discard->count * leaf_blocks, number, ok);
  }
  for (auto* list : {&open_, &doubtful_}) {
    if (list == &doubtful_ && !replaying_) continue;
    for (Request& request : *list) {
      if (request.done || !matches(request, command)) continue;
      request.done = ok;
      request.number = number;
      if (const auto* back = std::get_if<RollBack>(&command)) {
        for (const RollBack::One& one : back->volumes) {
          if (one.saved.entry != 0) request.saved.push_back(object_name(one.volume) + "@" + one.saved.name);
        }
      }
      return true;
    }
  }
  return false;
}

std::string Book::object_name(EntryId id) const {
  const Object* const object = now_.find(id);
  return object == nullptr ? std::string() : now_.name_of(*object);
}

/// The command does what was asked for.
bool Book::matches(const Request& request, const Command& command) const {
  const Op& op = request.op;
  if (const auto* make = std::get_if<CreateVolume>(&command)) {
    return op.kind == OpKind::create && make->volume.name == op.name && make->size == op.length && make->labels == request.labels;
  }
  if (const auto* make = std::get_if<CreateSnapshots>(&command)) {
    if (op.kind != OpKind::snapshot || make->snapshots.size() != op.names.size() || make->labels != request.labels) return false;
    for (size_t i = 0; i < op.names.size(); ++i) {
      if (object_name(make->snapshots[i].volume) + "@" + make->snapshots[i].snapshot.name != op.names[i]) return false;
    }
    return true;
  }
  if (const auto* make = std::get_if<CreateClones>(&command)) {
    if (op.kind != OpKind::clone || make->clones.size() != op.names.size() || object_name(make->source) != op.name) return false;
    for (size_t i = 0; i < op.names.size(); ++i) {
      if (make->clones[i].name != op.names[i]) return false;
    }
    return true;
  }
  if (const auto* back = std::get_if<RollBack>(&command)) {
    if (op.kind != OpKind::rollback || back->volumes.size() != op.names.size()) return false;
    for (size_t i = 0; i < op.names.size(); ++i) {
      const RollBack::One& one = back->volumes[i];
      const Object* const snapshot = now_.find(one.snapshot);
      if (object_name(one.snapshot) != op.names[i] || snapshot->volume != one.volume || (one.saved.entry == 0) != op.flag) return false;
    }
    return true;
  }
  if (const auto* remove = std::get_if<RemoveEntries>(&command)) {
    if (op.kind != OpKind::remove) return false;
    std::set<std::string> gone;
    for (const EntryId id : remove->entries) gone.insert(object_name(id));
    std::set<std::string> asked;
    for (const std::string& name : op.names) {
      if (now_.named(name) != nullptr) asked.insert(name);
      if (!op.flag || names_snapshot(name)) continue;
      for (const auto& [id, object] : now_.objects()) {
        if (object->is_snapshot() && now_.find(object->volume)->own == name) asked.insert(now_.name_of(*object));
      }
    }
    return gone == asked && gone.size() == remove->entries.size();
  }
  if (const auto* resize = std::get_if<ResizeVolume>(&command)) {
    return op.kind == OpKind::resize && object_name(resize->volume) == op.name && resize->size == op.length;
  }
  if (const auto* rename = std::get_if<RenameEntry>(&command)) {
    if (op.kind != OpKind::rename || object_name(rename->entry) != op.name) return false;
    const std::string& to = op.names.front();
    return rename->name == (names_snapshot(to) ? to.substr(to.find('@') + 1) : to);
  }
  if (const auto* protect = std::get_if<ProtectEntry>(&command)) {
    return op.kind == OpKind::protect && object_name(protect->entry) == op.name && protect->on == op.flag;
  }
  if (const auto* label = std::get_if<LabelEntry>(&command)) {
    return op.kind == OpKind::label && object_name(label->entry) == op.name && label->labels == request.labels;
  }
  return false;
}

void Book::apply(const DataRecord& record, const std::vector<Block>& blocks) {
  const Object* const object = now_.with_root(record.head);
  if (object == nullptr || record.first_block + record.count > object->content.size / block_size) {
    fail_("a write takes effect beyond the end of a volume, or on one that is gone");
    return;
  }
  Object changed = *object;
  if (record.zero) changed.content.blocks.erase(record.first_block, record.first_block + record.count);
  for (u64 i = 0; i < blocks.size(); ++i) changed.content.blocks.set(record.first_block + i, blocks[i]);
  put(std::move(changed));
}

void Book::apply(const Command& command) {
  const auto changed = [&](EntryId id) {
    const Object* const there = now_.find(id);
    Object copy;
    if (there != nullptr) {
      copy = *there;
    } else {
      fail_("a command takes effect on what is gone");
    }
    return copy;
  };
  const bool names = !std::holds_alternative<DiscardLeaves>(command);
  names_version_ += names ? 1 : 0;
  if (const auto* make = std::get_if<CreateVolume>(&command)) {
    Content content;
    content.size = make->size;
    put(object_of(make->volume, 0, content, make->labels));
  } else if (const auto* snapshots = std::get_if<CreateSnapshots>(&command)) {
    for (const CreateSnapshots::One& one : snapshots->snapshots) {
      put(object_of(one.snapshot, one.volume, changed(one.volume).content, snapshots->labels));
    }
  } else if (const auto* clones = std::get_if<CreateClones>(&command)) {
    for (const NewEntry& one : clones->clones) {
      put(object_of(one, 0, changed(clones->source).content, clones->labels));
    }
  } else if (const auto* back = std::get_if<RollBack>(&command)) {
    for (const RollBack::One& one : back->volumes) {
      Object volume = changed(one.volume);
      if (one.saved.entry != 0) {
        put(object_of(one.saved, one.volume, volume.content, {}));
      }
      volume.content = changed(one.snapshot).content;
      put(std::move(volume));
    }
  } else if (const auto* remove = std::get_if<RemoveEntries>(&command)) {
    for (const EntryId id : remove->entries) now_.remove(id);
  } else if (const auto* resize = std::get_if<ResizeVolume>(&command)) {
    Object volume = changed(resize->volume);
    volume.content.resize(resize->size);
    put(std::move(volume));
  } else if (const auto* rename = std::get_if<RenameEntry>(&command)) {
    Object object = changed(rename->entry);
    object.own = rename->name;
    put(std::move(object));
  } else if (const auto* protect = std::get_if<ProtectEntry>(&command)) {
    Object object = changed(protect->entry);
    object.is_protected = protect->on;
    put(std::move(object));
  } else if (const auto* label = std::get_if<LabelEntry>(&command)) {
    Object object = changed(label->entry);
    object.labels = label->labels;
    put(std::move(object));
  } else if (const auto* discard = std::get_if<DiscardLeaves>(&command)) {
    const Object* const there = now_.with_root(discard->head);
    if (there == nullptr) {
      fail_("a discard takes effect on a volume that is gone");
      return;
    }
    Object volume = *there;
    volume.content.blocks.erase(discard->first_leaf * leaf_blocks, (discard->first_leaf + discard->count) * leaf_blocks);
    put(std::move(volume));
  }
}

// --- crashes --------------------------------------------------------------------------------------------------------

void Book::crashed() {
  doubtful_.splice(doubtful_.end(), open_);
  readings_.clear();
}

void Book::killed() {
  if (!replaying_) must_ = acked_;
  crashed();
}

void Book::lost_power() {
  must_ = replaying_ ? std::min(must_, floor_) : floor_;
  crashed();
}

void Book::opening() {
  replaying_ = true;
  number_ = 0;
  at_ = 0;
}

void Book::opened(u64 last, bool any, bool read_only) {
  replaying_ = false;
  if (last < must_ && !any) {
    fail_(fmt::format("batches are lost: the pool is open at batch {}, and batch {} was {}", last, must_,
                      must_ == floor_ ? "durable" : "acknowledged"));
  }
  if (number_ > last) fail_(fmt::format("batch {} was replayed, and the pool says that it is at {}", number_, last));
  if (number_ == 0) now_ = state_at(last);
  states_.erase(states_.upper_bound(last), states_.end());
  effects_.erase(effects_.upper_bound(last), effects_.end());
  // Of a batch that was not replayed to its end, nothing may be left over.
  if (number_ != 0 && effects_.count(number_) > 0 && effects_[number_].size() > at_) effects_[number_].resize(at_);
  states_[last] = now_;
  number_ = opened_at_ = last;
  if (!read_only) {
    doubtful_.clear();
    acked_ = floor_ = must_ = last;
  }
  ++names_version_;
}

}  // namespace brindle::sim
