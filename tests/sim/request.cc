#include "sim/request.h"

#include <algorithm>
#include <set>

#include "base/names.h"
#include "model/world.h"

namespace brindle::sim {

namespace {

std::string name_of(const State& now, EntryId id) {
  const Object* const object = now.find(id);
  return object == nullptr ? std::string() : now.name_of(*object);
}

}  // namespace

std::vector<Part> cut(u64 offset, u64 length) {
  std::vector<Part> parts;
  while (length > 0) {
    const u64 size = parts.empty() && length <= part_bytes ? length : std::min(length, part_bytes - offset % block_size);
    parts.push_back({offset, size});
    offset += size;
    length -= size;
  }
  return parts;
}

std::string Request::bytes_of(const Part& part) const {
  return op.kind == OpKind::write ? bytes.substr(part.offset - op.offset, part.length) : std::string(part.length, '\0');
}

std::vector<std::string> Request::saved_by(const RecordPlace& place) const {
  const auto at = saved.find(place);
  return at == saved.end() ? std::vector<std::string>() : at->second;
}

Request request_of(const State& now, const Op& op) {
  Request request;
  request.op = op;
  request.expected = expected_code(now, op);
  const Object* const object = op.name.empty() ? nullptr : now.named(op.name);
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

std::optional<Code> expected_code(const State& now, const Op& op) {
  const auto missing = [&](const std::string& name) -> std::optional<Code> {
    if (!parse_name(name)) return Code::invalid;
    if (now.named(name) == nullptr) return Code::not_found;
    return std::nullopt;
  };
  const auto new_volume = [&](const std::string& name) -> std::optional<Code> {
    if (!check_name(name)) return Code::invalid;
    if (now.taken(name)) return Code::exists;
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
        if (now.named(name) != nullptr) return Code::exists;
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
        const Object& snapshot = *now.named(name);
        if (now.find(snapshot.volume)->deleted) return Code::not_found;
        if (!volumes.insert(snapshot.volume).second) return Code::invalid;
      }
      break;
    }
    case OpKind::resize: {
      if (auto code = missing(op.name)) return code;
      const Object& object = *now.named(op.name);
      if (object.is_snapshot() || !check_size(op.length)) return Code::invalid;
      if (op.length < object.content.size && !op.flag) return Code::invalid;
      break;
    }
    case OpKind::rename: {
      if (auto code = missing(op.name)) return code;
      const std::string& to = op.names.front();
      if (!names_snapshot(op.name)) return names_snapshot(to) ? std::optional(Code::invalid) : new_volume(to);
      if (!names_snapshot(to) || head_of(to) != head_of(op.name)) return Code::invalid;
      if (now.named(to) != nullptr) return Code::exists;
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
        const bool rest_only = op.flag && !names_snapshot(name) && now.named(name) == nullptr && now.taken(name);
        if (!rest_only) {
          if (auto code = missing(name)) return code;
          all.push_back(now.named(name));
        }
        if (!op.flag || names_snapshot(name)) continue;
        for (const auto& [id, object] : now.objects()) {
          if (object->is_snapshot() && now.find(object->volume)->own == name) all.push_back(object.get());
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
      const Object& object = *now.named(op.name);
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

bool asks_for(const State& now, const Request& request, const Command& command) {
  const Op& op = request.op;
  if (const auto* make = std::get_if<CreateVolume>(&command)) {
    return op.kind == OpKind::create && make->volume.name == op.name && make->size == op.length && make->labels == request.labels;
  }
  if (const auto* make = std::get_if<CreateSnapshots>(&command)) {
    if (op.kind != OpKind::snapshot || make->snapshots.size() != op.names.size() || make->labels != request.labels) return false;
    for (size_t i = 0; i < op.names.size(); ++i) {
      if (name_of(now, make->snapshots[i].volume) + "@" + make->snapshots[i].snapshot.name != op.names[i]) return false;
    }
    return true;
  }
  if (const auto* make = std::get_if<CreateClones>(&command)) {
    if (op.kind != OpKind::clone || make->clones.size() != op.names.size() || name_of(now, make->source) != op.name) return false;
    for (size_t i = 0; i < op.names.size(); ++i) {
      if (make->clones[i].name != op.names[i]) return false;
    }
    return true;
  }
  if (const auto* back = std::get_if<RollBack>(&command)) {
    if (op.kind != OpKind::rollback || back->volumes.size() != op.names.size()) return false;
    for (size_t i = 0; i < op.names.size(); ++i) {
      const RollBack::One& one = back->volumes[i];
      const Object* const snapshot = now.find(one.snapshot);
      if (name_of(now, one.snapshot) != op.names[i] || snapshot->volume != one.volume || (one.saved.entry == 0) != op.flag) return false;
    }
    return true;
  }
  if (const auto* remove = std::get_if<RemoveEntries>(&command)) {
    if (op.kind != OpKind::remove) return false;
    std::set<std::string> gone;
    for (const EntryId id : remove->entries) gone.insert(name_of(now, id));
    std::set<std::string> asked;
    for (const std::string& name : op.names) {
      if (now.named(name) != nullptr) asked.insert(name);
      if (!op.flag || names_snapshot(name)) continue;
      for (const auto& [id, object] : now.objects()) {
        if (object->is_snapshot() && now.find(object->volume)->own == name) asked.insert(now.name_of(*object));
      }
    }
    return gone == asked && gone.size() == remove->entries.size();
  }
  if (const auto* resize = std::get_if<ResizeVolume>(&command)) {
    return op.kind == OpKind::resize && name_of(now, resize->volume) == op.name && resize->size == op.length;
  }
  if (const auto* rename = std::get_if<RenameEntry>(&command)) {
    if (op.kind != OpKind::rename || name_of(now, rename->entry) != op.name) return false;
    const std::string& to = op.names.front();
    return rename->name == (names_snapshot(to) ? to.substr(to.find('@') + 1) : to);
  }
  if (const auto* protect = std::get_if<ProtectEntry>(&command)) {
    return op.kind == OpKind::protect && name_of(now, protect->entry) == op.name && protect->on == op.flag;
  }
  if (const auto* label = std::get_if<LabelEntry>(&command)) {
    return op.kind == OpKind::label && name_of(now, label->entry) == op.name && label->labels == request.labels;
  }
  return false;
}

}  // namespace brindle::sim
