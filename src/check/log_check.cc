#include "check/log_check.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/crc32c.h"

namespace brindle {

namespace {

constexpr unsigned successors_max = 64;  // looked at behind a batch that cannot be read
constexpr unsigned looks_max = 64;       // so that a made-up log does not have itself read again and again

}  // namespace

Task<void> LogCheck::run() {
  at_ = {superblock_.checkpoint_number, superblock_.log_segment, superblock_.log_base, superblock_.log_slot, 0, 0};
  flushed_ = std::max(superblock_.flushed_number, superblock_.checkpoint_number);
  if (superblock_.log_segment == 0) co_return;  // a new pool has no log yet
  const u64 chunk_size = superblock_.chunk_size;
  const bool sane = at_.base >= chunk_size && at_.base % block_size == 0 && at_.base < disk_.size() && at_.slot > 0 &&
                    at_.slot <= chunk_size / block_size && at_.segment < superblock_.segment_limit;
  if (!sane) {
    findings_.pool("superblock", 0, block_size, "it says that the log goes on where there is no place for it");
    co_return;
  }
  if (!co_await load()) co_return;
  for (;;) {
    const std::optional<ParsedBatch> batch = co_await next();
    if (disk_.stopped()) co_return;
    if (!batch) {
      const u64 behind = co_await flushed_behind();
      flushed_ = std::max(flushed_, behind);
      check_end();
      co_return;
    }
    if (batch->header.checkpoint_number > superblock_.checkpoint_number) {
      findings_.pool("superblock", 0, block_size,
                     fmt::format("the superblocks are from the past: the log names checkpoint {}, they name {}",
                                 batch->header.checkpoint_number, superblock_.checkpoint_number));
      co_return;
    }
    const bool empty = batch->header.commands == 0 && batch->header.data_records == 0;
    if (superblock_.clean != 0) {
      if (!empty) findings_.pool("log", at_.offset(), block_size, "the pool is marked as closed, and its log goes on");
      co_return;
    }
    flushed_ = std::max(flushed_, batch->header.flushed_number);
    if (batch->header.number >= flushed_ && !data_is_whole(*batch)) {
      const u64 behind = co_await flushed_behind();
      flushed_ = std::max(flushed_, behind);
      if (batch->header.number >= flushed_) co_return;  // the tail
    }
    accept(*batch);
  }
}

/// The log ends, or is broken: a batch cannot be read.
void LogCheck::check_end() {
  if (flushed_ <= at_.number || superblock_.clean != 0) return;
  findings_.pool("log", at_.offset(), block_size,
                 fmt::format("batch {} cannot be read although it was durable", at_.number));
}

/// Reads the rest of the segment's chunk.
Task<bool> LogCheck::load() {
  const u64 chunk_size = superblock_.chunk_size;
  loaded_.clear();
  const u64 end = std::min(round_down(at_.base, chunk_size) + chunk_size, disk_.size());
  if (at_.base >= end) co_return false;
  auto bytes = co_await disk_.read(at_.base, end - at_.base);
  if (!bytes) {
    if (bytes.code() != Code::cancelled) findings_.pool("io", at_.base, end - at_.base, bytes.error().message);
    co_return false;
  }
  loaded_ = std::move(*bytes);
  co_return true;
}

bool LogCheck::belongs(const BatchHeader& header, u64 slot) const {
  return header.pool == superblock_.uuid && header.epoch == superblock_.epoch && header.segment == at_.segment &&
         header.slot == slot;
}

std::optional<ParsedBatch> LogCheck::parse_here() const {
  const u64 at = at_.slot * block_size;
  if (at >= loaded_.size()) return std::nullopt;
  auto batch = parse_batch(Bytes(loaded_).subspan(at));
  if (!batch || !belongs(batch->header, at_.slot) || batch->header.number != at_.number) return std::nullopt;
  return std::move(*batch);
}

void LogCheck::name_successor(const BatchHeader& header) {
  const u64 chunks = disk_.size() / superblock_.chunk_size;
  if (header.next_segment == 0 || header.next_chunk == 0 || header.next_chunk >= chunks) return;
  at_.next_segment = header.next_segment;
  at_.next_base = header.next_chunk * superblock_.chunk_size;
}

/// The batch with the next number: here, or at the front of the successor.
Task<std::optional<ParsedBatch>> LogCheck::next() {
  if (auto batch = parse_here(); batch) co_return batch;
  if (at_.next_segment == 0) co_return std::nullopt;
  const Position before = at_;
  at_ = {at_.number, before.next_segment, before.next_base, 1, 0, 0};
  bool there = co_await load();
  if (there) {
    auto batch = parse_here();
    if (batch) co_return batch;
  }
  at_ = before;
  there = co_await load();
  co_return std::nullopt;
}

/// The highest flushed position that a batch behind the present place tells, here or in successors.
Task<u64> LogCheck::flushed_behind() {
  u64 flushed = 0;
  if (++looks_ > looks_max) co_return flushed;
  const Position before = at_;
  for (unsigned segments = 0; segments < successors_max; ++segments) {
    for (u64 slot = at_.slot; (slot + 1) * block_size <= loaded_.size(); ++slot) {
      auto header = parse_batch_header(Bytes(loaded_).subspan(slot * block_size));
      if (!header || !belongs(*header, slot) || header->number < at_.number) continue;
      flushed = std::max(flushed, header->flushed_number);
      name_successor(*header);
    }
    if (at_.next_segment == 0) break;
    at_ = {at_.number, at_.next_segment, at_.next_base, 1, 0, 0};
    const bool there = co_await load();
    if (!there) break;
  }
  at_ = before;
  const bool there = co_await load();
  co_return there ? flushed : 0;
}

Bytes LogCheck::data_of(const ParsedBatch& batch) const {
  const u64 from = (u64{batch.header.slot} + batch.header.record_blocks) * block_size;
  const u64 length = u64{batch.header.data_blocks} * block_size;
  return from <= loaded_.size() && length <= loaded_.size() - from ? Bytes(loaded_).subspan(from, length) : Bytes();
}

bool LogCheck::data_is_whole(const ParsedBatch& batch) const {
  const Bytes data = data_of(batch);
  return data.size() == u64{batch.header.data_blocks} * block_size && brindle::data_is_whole(batch.records, data);
}

void LogCheck::accept(const ParsedBatch& batch) {
  const BatchHeader& header = batch.header;
  const u64 begin = at_.offset();
  const u64 length = (u64{header.record_blocks} + header.data_blocks) * block_size;
  const Bytes data = data_of(batch);
  ++batches_;
  at_.slot += header.record_blocks + header.data_blocks;
  at_.number = header.number + 1;
  name_successor(header);
  if (data.size() != u64{header.data_blocks} * block_size) {
    findings_.pool("log", begin, block_size, fmt::format("batch {} does not fit into its segment", header.number));
    return;
  }
  if (!segments_.claim(begin, length)) {
    findings_.pool("log", begin, length,
                   fmt::format("batch {} stands where the checkpoint has something else", header.number));
  }
  disk_.checked(begin, sizeof(BatchHeader) + header.record_bytes, "log");
  for (const Command& command : batch.records.commands) {
    if (holders_.apply(command) || !names_known_) continue;
    findings_.pool("log", begin, block_size, fmt::format("batch {} has a command that makes no sense", header.number));
  }
  u64 at = 0;
  for (const DataRecord& record : batch.records.data) {
    holders_.apply(record);
    for (u64 i = 0; i < record.data_blocks(); ++i, at += block_size) {
      const u64 offset = begin + header.record_blocks * block_size + at;
      if (!read_data_) continue;
      if (crc32c(data.subspan(at, block_size)) == batch.records.crcs[at / block_size]) {
        disk_.checked(offset, block_size, "log data");
        continue;
      }
      constexpr const char* note = "a block's checksum is wrong";
      if (names_known_) {
        holders_.damaged_data(record.head, record.first_block + i, {"checksum", note, offset, block_size});
      } else {
        findings_.pool("checksum", offset, block_size, note);
      }
    }
  }
}

}  // namespace brindle
