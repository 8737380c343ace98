// checks.cc: what must hold of a pool while nothing is under way, and of its image while nothing has it open.
#include <fmt/format.h>

#include "model/world.h"
#include "sim/player.h"

namespace brindle::sim {

namespace {

// The bytes of all tables (pages of maps, the buckets of the catalog, of roots and of segments) of an ageing pool, for each
// byte of data that lives; and what the smallest pool takes.
constexpr double tables_a_byte_max = 0.06;
constexpr u64 tables_max_of_none = 256 * KiB;
constexpr u64 read_bytes = 256 * KiB;

}  // namespace

void Player::look_at_all() {
  const State now = book_.now();
  std::map<std::string, EntryInfo> there;
  for (const bool snapshots : {false, true}) {
    for (EntryInfo& info : engine_->list(snapshots, "")) there.emplace(info.name, std::move(info));
  }
  size_t expected = 0;
  for (const auto& [id, object] : now.objects()) {
    if (object->deleted) continue;
    ++expected;
    const std::string name = now.name_of(*object);
    const auto at = there.find(name);
    if (at == there.end()) return fail(fmt::format("{} is gone", name));
    const EntryInfo& info = at->second;
    if (info.size != object->content.size) {
      return fail(fmt::format("{} has {} bytes, not {}", name, info.size, object->content.size));
    }
    if (info.labels != object->labels || info.is_protected != object->is_protected || info.id != id) {
      return fail(fmt::format("{} has other labels, protection or id than it was given", name));
    }
  }
  if (there.size() != expected) return fail(fmt::format("there are {} volumes and snapshots, not {}", there.size(), expected));
  const PoolStatus status = engine_->status();
  if (status.volumes + status.snapshots != expected) return fail("the status counts other volumes and snapshots than there are");
  for (const auto& [id, object] : now.objects()) {
    if (!object->deleted && !failed()) look_at(*object);
  }
}

void Player::look_at(const Object& object) {
  const std::string name = book_.now().name_of(object);
  const model::Content& content = object.content;
  auto opened = engine_->open_handle(name, true);
  if (!opened) return fail(fmt::format("{} cannot be opened: {}", name, opened.error().message));
  const std::unique_ptr<Handle> handle = std::move(opened).value();
  const auto extents = wait(handle->extents(0, content.size, 1'000'000));
  if (!extents) return;
  if (!*extents) {
    if (!damaged_) fail(fmt::format("{} does not tell its extents: {}", name, extents->error().message));
    return;
  }
  u64 offset = 0;
  for (const Extent& extent : **extents) {
    const u64 end = offset + extent.length;
    if (!extent.data) {
      for (auto block = content.blocks.begin(); block != content.blocks.end() && content.blocks.size() > 0; ++block) {
        const u64 at = (*block).first * block_size;
        if (at >= offset && at < end) return fail(fmt::format("{} has a hole at {}, where data was written", name, at));
        if (at >= end) break;
      }
      offset = end;
      continue;
    }
    while (offset < end) {
      const u64 size = std::min(read_bytes, end - offset);
      std::string bytes(size, '?');
      const auto read = wait(handle->read(offset, std::as_writable_bytes(std::span(bytes))));
      if (!read) return;
      if (!*read) {
        if (!damaged_) return fail(fmt::format("{} cannot be read at {}: {}", name, offset, read->error().message));
      } else {
        for (u64 at = 0; at < size; at += block_size) {
          const model::Block block = content.blocks.find((offset + at) / block_size);
          if (!block) return fail(fmt::format("{} has data at {}, where a hole should be", name, offset + at));
          if (bytes.compare(at, block_size, *block) != 0) return fail(fmt::format("{} holds wrong data at {}", name, offset + at));
        }
      }
      offset += size;
    }
  }
  if (offset != content.size) fail(fmt::format("the extents of {} end at {}", name, offset));
}

/// The engine's account against the model's mark and sweep.
void Player::count_space() {
  const u64 acked = book_.acknowledged();
  const auto synced = wait(engine_->sync());
  if (!synced) return;
  if (!*synced) {
    // A full host may leave no room for a checkpoint; then the pool says so.
    if (!host_was_full_ && !errors_) fail("sync fails: " + synced->error().message);
    return;
  }
  book_.flushed(acked);
  const PoolStatus status = engine_->status();
  const u64 live = book_.now().live_blocks();
  if (engine_->live_blocks() != live) {
    return fail(fmt::format("{} blocks are live, and {} should be", engine_->live_blocks(), live));
  }
  if (status.reclaiming != 0) return fail(fmt::format("{} bytes are still being reclaimed after a sync", status.reclaiming));
  if (history_.profile == Profile::aging &&
      engine_->table_bytes() > tables_max_of_none + static_cast<u64>(static_cast<double>(live * block_size) * tables_a_byte_max)) {
    fail(fmt::format("{} bytes of tables for {} bytes of data", engine_->table_bytes(), live * block_size));
  }
}

void Player::verify_image() {
  if (damaged_ || !made_ || failed()) return;
  const auto report = model::verify_disk(disk_);
  if (!report) return fail("the verifier: " + report.error().message);
  for (const CheckDamage& damage : report->damage) {
    fail(fmt::format("the verifier: {} of '{}' at {} + {}: {}", damage.kind, damage.volume, damage.offset, damage.length, damage.note));
  }
}

}  // namespace brindle::sim
