#include "format/command.h"

namespace brindle {

namespace {

void encode(Writer& to, const NewEntry& entry) {
  to.put_varint(entry.entry);
  to.put_varint(entry.root);
  to.put_string(entry.name);
  to.put(entry.uuid);
}

NewEntry decode_new_entry(Reader& from) {
  NewEntry entry;
  entry.entry = from.get_varint();
  entry.root = from.get_varint();
  entry.name = from.get_string(name_size_max);
  entry.uuid = from.get<Uuid>();
  return entry;
}

constexpr u64 new_entry_size_min = 2 + 1 + sizeof(Uuid);  // two ids, an empty name, the uuid

/// Reads a count of things of at least so many bytes each, so that a wrong count cannot ask for much memory.
u64 get_count(Reader& from, u64 size_min) {
  const u64 count = from.get_varint();
  if (count > from.left() / size_min) from.fail();
  return from.ok() ? count : 0;
}

bool get_flag(Reader& from) {
  const auto flag = from.get<u8>();
  if (flag > 1) from.fail();
  return flag != 0;
}

struct Encoder {
  Writer& to;

  void operator()(const CreateVolume& x) const {
    encode(to, x.volume);
    to.put_varint(x.size);
    to.put_varint(x.created_ns);
    encode_labels(to, x.labels);
  }
  void operator()(const CreateSnapshots& x) const {
    to.put_varint(x.snapshots.size());
    for (const auto& one : x.snapshots) {
      to.put_varint(one.volume);
      encode(to, one.snapshot);
    }
    to.put_varint(x.created_ns);
    encode_labels(to, x.labels);
  }
  void operator()(const CreateClones& x) const {
    to.put_varint(x.source);
    to.put_varint(x.hidden);
    to.put_varint(x.clones.size());
    for (const auto& clone : x.clones) encode(to, clone);
    to.put_varint(x.created_ns);
    encode_labels(to, x.labels);
  }
  void operator()(const RollBack& x) const {
    to.put_varint(x.volumes.size());
    for (const auto& one : x.volumes) {
      to.put_varint(one.volume);
      to.put_varint(one.snapshot);
      encode(to, one.saved);
    }
    to.put_varint(x.created_ns);
  }
  void operator()(const RemoveEntries& x) const {
    to.put_varint(x.entries.size());
    for (EntryId entry : x.entries) to.put_varint(entry);
  }
  void operator()(const ResizeVolume& x) const {
    to.put_varint(x.volume);
    to.put_varint(x.size);
    to.put_varint(x.hidden);
  }
  void operator()(const DiscardLeaves& x) const {
    to.put_varint(x.head);
    to.put_varint(x.first_leaf);
    to.put_varint(x.count);
    to.put_varint(x.hidden);
  }
  void operator()(const RenameEntry& x) const {
    to.put_varint(x.entry);
    to.put_string(x.name);
  }
  void operator()(const ProtectEntry& x) const {
    to.put_varint(x.entry);
    to.put<u8>(x.on ? 1 : 0);
  }
  void operator()(const LabelEntry& x) const {
    to.put_varint(x.entry);
    encode_labels(to, x.labels);
  }
};

void decode(Reader& from, CreateVolume& x) {
  x.volume = decode_new_entry(from);
  x.size = from.get_varint();
  x.created_ns = from.get_varint();
  x.labels = decode_labels(from);
}
void decode(Reader& from, CreateSnapshots& x) {
  x.snapshots.resize(get_count(from, 1 + new_entry_size_min));
  for (auto& one : x.snapshots) {
    one.volume = from.get_varint();
    one.snapshot = decode_new_entry(from);
  }
  x.created_ns = from.get_varint();
  x.labels = decode_labels(from);
}
void decode(Reader& from, CreateClones& x) {
  x.source = from.get_varint();
  x.hidden = from.get_varint();
  x.clones.resize(get_count(from, new_entry_size_min));
  for (auto& clone : x.clones) clone = decode_new_entry(from);
  x.created_ns = from.get_varint();
  x.labels = decode_labels(from);
}
void decode(Reader& from, RollBack& x) {
  x.volumes.resize(get_count(from, 2 + new_entry_size_min));
  for (auto& one : x.volumes) {
    one.volume = from.get_varint();
    one.snapshot = from.get_varint();
    one.saved = decode_new_entry(from);
  }
  x.created_ns = from.get_varint();
}
void decode(Reader& from, RemoveEntries& x) {
  x.entries.resize(get_count(from, 1));
  for (auto& entry : x.entries) entry = from.get_varint();
}
void decode(Reader& from, ResizeVolume& x) {
  x.volume = from.get_varint();
  x.size = from.get_varint();
  x.hidden = from.get_varint();
}
void decode(Reader& from, DiscardLeaves& x) {
  x.head = from.get_varint();
  x.first_leaf = from.get_varint();
  x.count = from.get_varint();
  x.hidden = from.get_varint();
}
void decode(Reader& from, RenameEntry& x) {
  x.entry = from.get_varint();
  x.name = from.get_string(name_size_max);
}
void decode(Reader& from, ProtectEntry& x) {
  x.entry = from.get_varint();
  x.on = get_flag(from);
}
void decode(Reader& from, LabelEntry& x) {
  x.entry = from.get_varint();
  x.labels = decode_labels(from);
}

/// Decodes the alternative with the number `kind`.
template <size_t I = 0>
bool decode_kind(Reader& from, size_t kind, Command& command) {
  if constexpr (I < std::variant_size_v<Command>) {
    if (kind != I) return decode_kind<I + 1>(from, kind, command);
    decode(from, command.emplace<I>());
    return true;
  } else {
    return false;
  }
}

}  // namespace

void encode_labels(Writer& to, const LabelMap& labels) {
  to.put_varint(labels.size());
  for (const auto& [key, value] : labels) {
    to.put_string(key);
    to.put_string(value);
  }
}

LabelMap decode_labels(Reader& from) {
  LabelMap labels;
  for (u64 count = get_count(from, 2); count > 0 && from.ok(); --count) {
    std::string key = from.get_string(label_key_size_max);
    labels.insert_or_assign(std::move(key), from.get_string(label_value_size_max));
  }
  return labels;
}

void encode_command(Writer& to, const Command& command) {
  to.put(static_cast<u8>(command.index()));
  std::visit(Encoder{to}, command);
}

Result<Command> decode_command(Reader& from) {
  Command command;
  const bool known = decode_kind(from, from.get<u8>(), command);
  if (!known || !from.ok()) return Error{Code::corrupt, "a command in the log makes no sense"};
  return command;
}

}  // namespace brindle
