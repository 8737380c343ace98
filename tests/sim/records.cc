// records.cc: what each record that takes effect does to the model, and whether a replay brings the same ones again.
#include <algorithm>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "sim/book.h"

namespace brindle::sim {

using model::Block;
using model::Content;

namespace {

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

}  // namespace

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
  const bool by_device = !status && status.code() != Code::not_found;
  // As with data below.
  const bool after_all = known != nullptr && !known->ok && known->by_device && status;
  if ((known == nullptr || (!known->ok && status && !after_all)) &&
      !claims_.claim(now_, {number, at_}, command, status.ok(), replaying_)) {
    fail_(fmt::format("a command takes effect in batch {} that nobody asked for", number));
  }
  if (const auto* discard = std::get_if<DiscardLeaves>(&command); discard != nullptr && after_all)
    comes_after_all(discard->head);
  if (known == nullptr) {
    new_effect({command, {}, {}, status.ok(), by_device});
  } else {
    known->ok = status.ok();
    known->by_device = by_device;
  }
  if (status) apply(command);
  states_[number] = now_;
}

void Book::applied(u64 number, const DataRecord& plain, std::span<const u32> crcs, const Status& status) {
  const SummedRecord record{plain, {crcs.begin(), crcs.end()}};
  Effect* const known = at_record(number);
  if (known != nullptr && (known->command || known->data.head != record.head || known->data.first_block != record.first_block ||
                           known->data.count != record.count || known->data.crcs != record.crcs)) {
    fail_(fmt::format("batch {} is replayed with other data than it had", number));
    return;
  }
  std::vector<Block> blocks = known != nullptr ? known->blocks : std::vector<Block>();
  const bool by_device = !status && status.code() != Code::not_found;
  // What the device refused may be there after the next start; whose it is was said when it was refused.
  const bool after_all = known != nullptr && !known->ok && known->by_device && status;
  if ((known == nullptr || (!known->ok && status && !after_all)) &&
      !claims_.claim(now_, {number, at_}, record, status.ok(), replaying_, blocks) &&
      !tidied(record, status.ok(), blocks) && !built_on_refused(record, status.ok(), blocks)) {
    fail_(fmt::format("batch {} writes what nobody asked for: {} blocks from {} on of {}{}", number, record.count,
                      record.first_block, now_.with_root(record.head) != nullptr ? now_.name_of(*now_.with_root(record.head)) : "a volume that is gone",
                      record.zero ? ", zeroes" : ""));
    return;
  }
  if (known == nullptr) {
    new_effect({std::nullopt, record, blocks, status.ok(), by_device});
  } else {
    known->ok = status.ok();
    known->by_device = by_device;  // a page rotted before this replay, and the next rot may hit the same bit
    known->blocks = blocks;
  }
  if (after_all) comes_after_all(record.head);
  if (status) apply(record, blocks);
  states_[number] = now_;
}

/// Tidying wrote what the blocks hold already. They are new ones all the same: a snapshot may keep the old.
bool Book::tidied(const SummedRecord& record, bool ok, std::vector<Block>& blocks) const {
  if (record.zero || (tidying_ == 0 && !(replaying_ && tidied_))) return false;
  if (!ok) return true;
  const Object* const object = now_.with_root(record.head);
  blocks.clear();
  for (u64 i = 0; object != nullptr && i < record.count; ++i) {
    const Block held = object->content.blocks.find(record.first_block + i);
    if (held == nullptr || crc32c(std::as_bytes(std::span(*held))) != record.crcs[i]) return false;
    blocks.push_back(std::make_shared<const std::string>(*held));
  }
  return object != nullptr;
}

void Book::comes_after_all(RootId root) {
  const Object* const object = now_.with_root(root);
  if (object != nullptr) without_[root].push_back(object->content);
}

/// Whoever wrote a part of a block took the rest of it from what was there. That was without what the device refused just then, and that
/// this replay brings after all.
bool Book::built_on_refused(const SummedRecord& record, bool ok, std::vector<Block>& blocks) {
  const Object* const object = now_.with_root(record.head);
  const auto before = without_.find(record.head);
  if (!replaying_ || object == nullptr || before == without_.end()) return false;
  return std::any_of(before->second.rbegin(), before->second.rend(), [&](const Content& content) {
    State seen = now_;
    Object older = *object;
    older.content.blocks = content.blocks;
    seen.put(std::move(older));
    return claims_.claim(seen, {number_, at_}, record, ok, replaying_, blocks);
  });
}

// --- what they do ---------------------------------------------------------------------------------------------------

void Book::put(Object object) {
  for (Reading& reading : readings_) {
    if (reading.object == object.id) reading.seen.push_back(object.content);
  }
  now_.put(std::move(object));
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

}  // namespace brindle::sim
