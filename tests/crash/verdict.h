// verdict.h: opens what a crash left, and tells what is in it, or what is wrong.
//
// Holds:  1. The verifier looks first and finds nothing. Then a new engine opens the pool for writing, everything in it can be
//            read, and closing it works.
//         2. Of a sample more is asked: the blocks that live are as many as the model says, a write, a sync and a read work,
//            and once everything is deleted `used` is what it was in the pool before anything was in it.
//         3. The image is left as it was.
#pragma once

#include <optional>
#include <string>

#include "crash/content.h"

namespace brindle::crash {

inline constexpr u64 memory_max = 12 * MiB;  // of every engine

/// A moment that the pool passed through: all that it held, and how many blocks that takes.
struct Moment {
  u64 content = 0;
  u64 live_blocks = 0;
};

struct Question {
  bool thorough = false;
  u64 used_when_empty = 0;
  /// The moments that the thorough part compares with; one of them must have the content that is found.
  std::span<const Moment> moments;
};

struct Verdict {
  u64 content = 0;
  std::string failure;  // "" when all is well
};

Verdict judge(const Image& image, const Question& question);

/// Bytes used once everything in the pool is deleted, by an engine that closed it in order.
Result<u64> used_when_empty(const Image& image);

}  // namespace brindle::crash
