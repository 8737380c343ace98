// chunk_writer.h: writes small things one after the other into chunks: pages, tables, and what compaction moves.
//
// Holds:  1. What was appended has a byte address at once, and is on the device after `flush`.
//         2. Each flush begins on a block of its own: nothing that was flushed is ever written again.
// Caller: one coroutine at a time.
// Fails:  no_space (no chunk is to be had), io.
#pragma once

#include <functional>

#include "base/aligned.h"
#include "device/device.h"
#include "pool/space.h"

namespace brindle {

class ChunkWriter {
 public:
  /// Called with each chunk that this writer leaves.
  using Left = std::function<void(u64 chunk)>;

  /// Makes one more chunk ready, where one can be had.
  using Fill = std::function<Task<Status>()>;

  ChunkWriter(Device& device, Space& space, SpaceLevel level, ChunkUse use, Left left, Fill fill)
      : device_(device),
        space_(space),
        level_(level),
        use_(use),
        left_(std::move(left)),
        fill_one_(std::move(fill)),
        stage_(stage_size) {}

  /// Goes on in `chunk` from the byte `fill` on, which nothing durable lies behind.
  void resume(u64 chunk, u64 fill) {
    chunk_ = chunk;
    fill_ = staged_from_ = round_up(fill, block_size);
  }
  /// Makes sure that the next `bytes` (at most a chunk) lie in one chunk. True: it is another chunk than before.
  Task<Result<bool>> reserve(u64 bytes);
  /// Appends within what was reserved; returns the byte address, a multiple of `align`.
  u64 append(Bytes bytes, u64 align);
  /// Writes what is staged.
  Task<Status> flush();
  std::optional<u64> chunk() const { return chunk_; }
  /// The byte address up to which the device has what was appended to the present chunk.
  u64 written_end() const { return chunk_ ? space_.chunk_offset(*chunk_) + staged_from_ : 0; }
  u64 room() const { return chunk_ ? space_.chunk_size() - fill_ : 0; }
  /// Leaves the chunk, so that the next reserve takes another.
  void leave();
  u64 bytes_written() const { return bytes_written_; }

 private:
  static constexpr u64 stage_size = 256 * KiB;
  Task<Status> write_out(bool all);

  Device& device_;
  Space& space_;
  SpaceLevel level_;
  ChunkUse use_;
  Left left_;
  Fill fill_one_;
  AlignedBuffer stage_;
  std::optional<u64> chunk_;
  u64 fill_ = 0;         // within the chunk: where the next byte goes
  u64 staged_from_ = 0;  // within the chunk: where the stage begins
  u64 bytes_written_ = 0;
};

}  // namespace brindle
