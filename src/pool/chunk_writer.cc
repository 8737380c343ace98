#include "pool/chunk_writer.h"

#include <algorithm>
#include <cstring>

namespace brindle {

Task<Result<bool>> ChunkWriter::reserve(u64 bytes) {
  CHECK(bytes + block_size <= space_.chunk_size());
  const u64 wanted = round_up(bytes, block_size) + block_size;  // alignment may cost up to a block
  bool moved = false;
  if (!chunk_ || fill_ + wanted > space_.chunk_size()) {
    if (auto status = co_await flush(); !status) co_return status.error();
    leave();
    auto chunk = space_.take_chunk(level_, use_);
    while (!chunk && space_.next_to_fill()) {
      if (auto status = co_await fill_one_(); !status) break;
      chunk = space_.take_chunk(level_, use_);
    }
    if (!chunk) co_return Error{Code::no_space, "no empty chunk is left"};
    resume(*chunk, 0);
    moved = true;
  }
  if (fill_ - staged_from_ + wanted > stage_.size()) {
    if (auto status = co_await write_out(false); !status) co_return status.error();
    if (fill_ - staged_from_ + wanted > stage_.size()) {
      AlignedBuffer larger(fill_ - staged_from_ + wanted);
      std::memcpy(larger.data(), stage_.data(), fill_ - staged_from_);
      stage_ = std::move(larger);
    }
  }
  co_return moved;
}

u64 ChunkWriter::append(Bytes bytes, u64 align) {
  const u64 at = round_up(fill_, align);
  CHECK(chunk_ && at + bytes.size() <= space_.chunk_size() && at - staged_from_ + bytes.size() <= stage_.size());
  std::memset(stage_.data() + (fill_ - staged_from_), 0, at - fill_);
  std::memcpy(stage_.data() + (at - staged_from_), bytes.data(), bytes.size());
  fill_ = at + bytes.size();
  return space_.chunk_offset(*chunk_) + at;
}

/// Writes the whole blocks of the stage, or with `all` everything, padded.
Task<Status> ChunkWriter::write_out(bool all) {
  const u64 staged = fill_ - staged_from_;
  const u64 length = all ? round_up(staged, block_size) : round_down(staged, block_size);
  if (!chunk_ || length == 0) co_return Status{};
  if (all) std::memset(stage_.data() + staged, 0, length - staged);
  const Bytes from = stage_.span().first(length);
  const u64 to = space_.chunk_offset(*chunk_) + staged_from_;
  Status status = co_await device_.write(to, from);
  if (!status) co_return status;
  bytes_written_ += length;
  if (!all) std::memmove(stage_.data(), stage_.data() + length, staged - length);
  staged_from_ += length;
  fill_ = std::max(fill_, staged_from_);
  co_return Status{};
}

Task<Status> ChunkWriter::flush() { return write_out(true); }

void ChunkWriter::leave() {
  if (!chunk_) return;
  const u64 chunk = *chunk_;
  chunk_.reset();
  left_(chunk);
}

}  // namespace brindle
