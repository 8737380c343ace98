// lanes.cc: one operation after the other on the engine, and what it answers against the book.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/aligned.h"
#include "check/verify.h"
#include "sim/faults.h"
#include "sim/player.h"

namespace brindle::sim {

Task<void> Player::run_lane(std::vector<Op> ops) {
  for (const Op& op : ops) {
    if (failed()) co_return;
    co_await run_op(op);
  }
}

Task<void> Player::run_op(Op op) {
  doing_ = text(op);
  say("> " + doing_);
  ++played_.operations;
  switch (op.kind) {
    case OpKind::read: co_await run_read(op); break;
    case OpKind::write:
    case OpKind::zero:
    case OpKind::discard: co_await run_write(op); break;
    case OpKind::create:
    case OpKind::snapshot:
    case OpKind::clone:
    case OpKind::rollback:
    case OpKind::resize:
    case OpKind::rename:
    case OpKind::label:
    case OpKind::protect:
    case OpKind::remove: co_await run_command(op); break;
    case OpKind::frees:
    case OpKind::measure:
    case OpKind::extents:
    case OpKind::diff:
    case OpKind::list: co_await run_question(op); break;
    default: co_await run_upkeep(op);
  }
}

/// Nothing is wrong with it that the device or the space does not explain.
bool Player::excused(const Status& status, const Op& op) {
  const PoolStatus pool = engine_->status();
  if (status) return op.kind == OpKind::discard && (host_was_full_ || pool.free < pool.size / 2);
  switch (status.code()) {
    case Code::no_space: {
      const bool never_full = op.kind == OpKind::remove || op.kind == OpKind::read || op.kind == OpKind::flush || op.kind == OpKind::discard;
      const bool room = history_.pool_size >= 64 * MiB && pool.free > pool.size / 2 && !host_was_full_;
      return !never_full && !room;
    }
    case Code::io:
    case Code::read_only:
    case Code::corrupt: return damaged_ || errors_;
    default: return false;
  }
}

void Player::result(const Op& op, const Status& status) {
  const u64 code = status ? 0 : 1 + static_cast<u64>(status.code());
  trace(op.index * 131 + code);
  trace(runtime_->now_ns());
  say(fmt::format("< {} {}: {}", op.index, op_name(op.kind), status ? "ok" : status.error().message));
}

// --- reading and writing --------------------------------------------------------------------------------------------

Result<std::shared_ptr<Handle>> Player::handle_for(Op& op, bool read_only) {
  if (op.flag) {
    const auto at = held_.find(op.lane);
    if (at != held_.end() && (read_only || !at->second.read_only)) {
      const Object* const object = book_.now().find(at->second.object);
      op.name = object == nullptr || object->deleted ? "gone" : book_.now().name_of(*object);
      return at->second.handle;
    }
  }
  const Object* const object = book_.now().named(op.name);
  auto opened = engine_->open_handle(op.name, read_only);
  if (!opened) return opened.error();
  std::shared_ptr<Handle> handle = std::move(opened).value();
  if (op.flag && object != nullptr) held_[op.lane] = {handle, object->id, handle->read_only()};
  return handle;
}

Task<void> Player::run_read(Op op) {
  auto opened = handle_for(op, true);
  const auto expected = book_.expected(op);
  const Object* const object = book_.now().named(op.name);
  const EntryId id = object != nullptr ? object->id : 0;
  if (!opened) {
    const Status status = opened.error();
    result(op, status);
    if (!expected || *expected != opened.code()) fail(fmt::format("not opened: {}: {}", text(op), opened.error().message));
    co_return;
  }
  const std::shared_ptr<Handle> handle = std::move(opened).value();
  const auto reading = book_.begin_read(id);
  AlignedBuffer buffer(op.length + block_size);
  const u64 skip = op.index % 3 == 0 ? 8 : 0;
  const MutBytes into = buffer.span().subspan(skip, op.length);
  std::memset(into.data(), '?', into.size());
  const Status status = co_await handle->read(op.offset, into);
  result(op, status);
  if (status) {
    const std::string bytes(reinterpret_cast<const char*>(into.data()), into.size());
    if (expected) fail("a read beyond the end is answered: " + text(op));
    if (!book_.end_read(reading, op.offset, bytes)) fail("a read returns what was never there: " + text(op));
    co_return;
  }
  book_.drop_read(reading);
  const bool changed = status.code() == Code::not_found || status.code() == Code::invalid;
  const Object* const still = book_.now().find(id);
  const bool gone = still == nullptr || still->deleted || op.offset + op.length > still->content.size;
  if (!(expected && *expected == status.code()) && !(changed && gone) && !excused(status, op)) {
    fail(fmt::format("a read fails: {}: {}", text(op), status.error().message));
  }
}

Task<void> Player::run_write(Op op) {
  auto opened = handle_for(op, false);
  const auto ticket = book_.begin(op);
  if (!opened) {
    const Status status = opened.error();
    result(op, status);
    book_.end(ticket, status, false);
    co_return;
  }
  const std::shared_ptr<Handle> handle = std::move(opened).value();
  Status status;
  if (op.kind == OpKind::write) {
    AlignedBuffer buffer(op.length + block_size);
    const u64 skip = op.index % 3 == 0 ? 8 : 0;
    std::memcpy(buffer.data() + skip, ticket->bytes.data(), op.length);
    const Bytes from = buffer.span().subspan(skip, op.length);
    status = co_await handle->write(op.offset, from, op.fua);
  } else if (op.kind == OpKind::zero) {
    status = co_await handle->zero(op.offset, op.length, op.fua);
  } else {
    status = co_await handle->discard(op.offset, op.length, op.fua);
  }
  result(op, status);
  book_.end(ticket, status, excused(status, op));
}

// --- commands -------------------------------------------------------------------------------------------------------

namespace {

Labels labels_of(const Op& op) {
  Labels labels;
  if (op.kind != OpKind::label && !op.flag) return labels;
  for (u64 i = 0; i < op.stamp % 5 + (op.kind == OpKind::label ? 0 : 1); ++i) labels[fmt::format("key{}", i)] = fmt::format("value {}", op.index);
  return labels;
}

}  // namespace

Task<Status> Player::command(Op op, std::vector<std::string>& saved) {
  const Labels labels = labels_of(op);
  switch (op.kind) {
    case OpKind::create: {
      auto made = co_await engine_->volume_create(op.name, op.length, labels);
      if (!made) co_return made.error();
      co_return Status{};
    }
    case OpKind::snapshot: co_return co_await engine_->snapshot_create(op.names, labels);
    case OpKind::clone: co_return co_await engine_->clone(op.name, op.names, labels);
    case OpKind::rollback: {
      auto done = co_await engine_->rollback(op.names, op.flag, true);
      if (!done) co_return done.error();
      saved = *done;
      co_return Status{};
    }
    case OpKind::resize: co_return co_await engine_->volume_resize(op.name, op.length, op.flag);
    case OpKind::rename: co_return co_await engine_->rename(op.name, op.names.front());
    case OpKind::label: co_return co_await engine_->set_labels(op.name, labels);
    case OpKind::protect: co_return co_await engine_->snapshot_protect(op.name, op.flag);
    default: co_return co_await engine_->remove(op.names, op.flag, true);
  }
}

Task<void> Player::run_command(Op op) {
  const auto ticket = book_.begin(op);
  ticket->labels = labels_of(op);
  std::vector<std::string> saved;
  const Status status = co_await command(op, saved);
  result(op, status);
  book_.end(ticket, status, excused(status, op), saved);
}

// --- questions ------------------------------------------------------------------------------------------------------

Task<void> Player::run_question(Op op) {
  const u64 at = book_.changes();
  switch (op.kind) {
    case OpKind::frees: co_await run_frees(op, at); break;
    case OpKind::measure: co_await run_measure(op, at); break;
    case OpKind::extents: co_await run_extents(op, at); break;
    case OpKind::diff: co_await run_diff(op, at); break;
    default: {
      const PoolStatus status = engine_->status();
      u64 volumes = 0, snapshots = 0;
      for (const auto& [id, object] : book_.now().objects()) {
        if (!object->deleted) ++(object->is_snapshot() ? snapshots : volumes);
      }
      u64 listed = 0;
      for (ListPiece piece;; ) {
        piece = engine_->list_piece({.snapshots = true}, ListKey::name, piece.next, 3);
        listed += piece.items.size();
        if (piece.next.empty()) break;
      }
      if (status.volumes != volumes || status.snapshots != snapshots || listed != snapshots) {
        fail(fmt::format("the lists tell {} volumes and {} ({}) snapshots; there are {} and {}", status.volumes, status.snapshots,
                         listed, volumes, snapshots));
      }
    }
  }
}

Task<void> Player::run_frees(Op op, u64 at) {
  const auto expected = book_.expected(op);
  std::set<EntryId> ids;
  if (!expected) {
    for (const std::string& name : op.names) {
      const Object* const object = book_.now().named(name);
      if (object != nullptr) ids.insert(object->id);
      if (!op.flag || name.find('@') != std::string::npos) continue;
      for (const auto& [id, other] : book_.now().objects()) {
        if (other->is_snapshot() && book_.now().find(other->volume)->own == name) ids.insert(id);
      }
    }
  }
  const u64 blocks = book_.now().freed_blocks(ids);
  const auto told = co_await engine_->frees(op.names, op.flag);
  const Status status = told ? Status{} : Status(told.error());
  result(op, status);
  if (book_.changes() != at) co_return;  // of things that change meanwhile, nobody knows
  if (told && (expected || *told != blocks * block_size)) {
    fail(fmt::format("a deletion of {} would free {} bytes, and {} is told", fmt::join(op.names, " "), blocks * block_size, *told));
  }
  if (!told && !(expected && *expected == told.code()) && !excused(status, op)) fail(text(op) + " fails: " + told.error().message);
}

Task<void> Player::run_measure(Op op, u64 at) {
  const auto expected = book_.expected(op);
  u64 referenced = 0, exclusive = 0;
  if (const Object* object = book_.now().named(op.name)) {
    referenced = object->content.blocks.size() * block_size;
    exclusive = book_.now().freed_blocks({object->id}) * block_size;
  }
  const auto told = co_await engine_->measure(op.name);
  const Status status = told ? Status{} : Status(told.error());
  result(op, status);
  if (book_.changes() != at) co_return;
  if (told && (expected || *told->referenced != referenced || *told->exclusive != exclusive)) {
    fail(fmt::format("{} holds {} bytes, {} of them alone, and {} and {} are told", op.name, referenced, exclusive, *told->referenced,
                     *told->exclusive));
  }
  if (!told && !(expected && *expected == told.code()) && !excused(status, op)) fail(text(op) + " fails: " + told.error().message);
}

Task<void> Player::run_extents(Op op, u64 at) {
  const auto expected = book_.expected(op);
  auto opened = engine_->open_handle(op.name, true);
  if (!opened) {
    if (!expected || *expected != opened.code()) fail(text(op) + " fails: " + opened.error().message);
    co_return;
  }
  const std::unique_ptr<Handle> handle = std::move(opened).value();
  const model::Content content = book_.now().named(op.name)->content;
  const auto told = co_await handle->extents(0, content.size, 1'000'000);
  const Status status = told ? Status{} : Status(told.error());
  result(op, status);
  if (book_.changes() != at) co_return;
  if (!told) {
    if (!excused(status, op)) fail(text(op) + " fails: " + told.error().message);
    co_return;
  }
  u64 offset = 0, data = 0, holes_right = 1;
  for (const Extent& extent : *told) {
    data += extent.data ? extent.length : 0;
    for (u64 block = offset / block_size; extent.data && block < (offset + extent.length) / block_size; ++block) {
      if (!content.blocks.contains(block)) holes_right = 0;
    }
    offset += extent.length;
  }
  if (offset != content.size || data != content.blocks.size() * block_size || holes_right == 0) {
    fail(fmt::format("the extents of {} are not what was written", op.name));
  }
}

Task<void> Player::run_diff(Op op, u64 at) {
  const auto expected = book_.expected(op);
  const std::string& other = op.names.front();
  model::Content first, second;
  if (!expected) {
    first = book_.now().named(op.name)->content;
    second = book_.now().named(other)->content;
  }
  const auto told = co_await engine_->diff(op.name, other);
  const Status status = told ? Status{} : Status(told.error());
  result(op, status);
  if (book_.changes() != at) co_return;
  if (!told) {
    const bool strangers = told.code() == Code::invalid;  // of no common history
    if (!strangers && !(expected && *expected == told.code()) && !excused(status, op)) fail(text(op) + " fails: " + told.error().message);
    co_return;
  }
  if (expected) {
    fail(text(op) + " is answered");
    co_return;
  }
  std::map<u64, bool> differs;  // block -> it is a hole in the second
  for (const auto& [number, block] : second.blocks) {
    if (first.blocks.find(number) != block) differs[number] = false;
  }
  for (const auto& [number, block] : first.blocks) {
    if (!second.blocks.contains(number) && number < second.size / block_size) differs[number] = true;
  }
  std::map<u64, bool> ranges;
  for (const DiffRange& range : *told) {
    // A hole of any length is one range; nobody needs its every block here.
    const u64 end = std::min(range.offset + range.length, second.size);
    if (end > range.offset && (end - range.offset) / block_size > 100'000) {
      fail(fmt::format("the diff of {} and {} tells {} bytes at once", op.name, other, range.length));
      co_return;
    }
    for (u64 from = range.offset; from < end; from += block_size) ranges[from / block_size] = range.kind == Change::zero;
  }
  if (ranges != differs) fail(fmt::format("the diff of {} and {} is wrong", op.name, other));
}

// --- upkeep and faults ----------------------------------------------------------------------------------------------

Task<void> Player::run_check() {
  auto held = co_await engine_->hold_checkpoint();
  if (!held) {
    const Status status = held.error();
    if (!excused(status, {.kind = OpKind::check}) && held.code() != Code::no_space) fail("a checkpoint cannot be held: " + held.error().message);
    co_return;
  }
  const auto device = std::make_unique<SimDevice>(*runtime_, disk_, 1);
  const VerifyOptions options{.log = false};
  const auto report = co_await verify(*runtime_, *device, options, nullptr);
  if (damaged_) co_return;
  if (!report) {
    fail("the verifier, online: " + report.error().message);
    co_return;
  }
  for (const CheckDamage& damage : report->damage) {
    fail(fmt::format("the verifier, online: {} of '{}' at {}: {}", damage.kind, damage.volume, damage.offset, damage.note));
  }
}

Task<void> Player::run_upkeep(Op op) {
  Status status;
  const u64 acked = book_.acknowledged();
  if (is_fault(op.kind)) {
    // Two errors in a row are not what "tried again" helps against.
    if (op.kind == OpKind::fault_reads || op.kind == OpKind::fault_writes || op.kind == OpKind::fault_flush) errors_ = true;
    if (op.kind == OpKind::fault_passing) errors_ = errors_ || passing_;
    passing_ = passing_ || op.kind == OpKind::fault_passing;
    if (cause(op, disk_, device_->faults())) damaged_ = true;
    if (op.kind == OpKind::fault_lost || op.kind == OpKind::fault_misdirected) lost_write_ = true;
    host_was_full_ = host_was_full_ || device_->faults().host_full;
  } else if (op.kind == OpKind::pause) {
    co_await runtime_->sleep(op.length);
  } else if (op.kind == OpKind::flush) {
    const auto expected = book_.expected(op);
    auto opened = engine_->open_handle(op.name, true);
    if (opened) {
      const std::unique_ptr<Handle> handle = std::move(opened).value();
      status = co_await handle->flush();
      if (status) book_.flushed(acked);
    } else {
      status = opened.error();
    }
    const bool gone = !status && status.code() == Code::not_found && book_.now().named(op.name) == nullptr;
    if (!status && !(expected && *expected == status.code()) && !gone && !excused(status, op)) fail("a flush fails: " + status.error().message);
  } else if (op.kind == OpKind::scrub) {
    const auto found = co_await engine_->scrub(nullptr);
    const bool unread = found && errors_ && std::all_of(found->begin(), found->end(), [](const DamageRange& range) { return range.kind == "io" || range.kind == "map"; });
    if (!damaged_ && found && !found->empty() && !unread) {
      fail(fmt::format("a scrub tells damage of {} at {}: {}", found->front().volume, found->front().offset, found->front().kind));
    }
    if (!found) status = found.error();
    if (!found && !excused(status, op)) fail("a scrub fails: " + found.error().message);
  } else if (op.kind == OpKind::tidy) {
    book_.begin_tidy();
    status = co_await engine_->tidy({}, nullptr);
    book_.end_tidy();
    if (!status && !excused(status, op)) fail("tidying fails: " + status.error().message);
  } else if (op.kind == OpKind::check) {
    co_await run_check();
  } else {
    if (op.kind == OpKind::sync) {
      status = co_await engine_->sync();
    } else {
      status = co_await engine_->pool_grow(op.length);
    }
    if (status) book_.flushed(acked);
    const bool outgrown = op.kind == OpKind::grow && !status && status.code() == Code::invalid;  // another lane was first
    if (!status && !outgrown && !excused(status, op)) fail(fmt::format("{} fails: {}", text(op), status.error().message));
  }
  result(op, status);
}

}  // namespace brindle::sim
