// units.h: sizes and the short names of integers and byte ranges that every room uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace brindle {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

using Bytes = std::span<const std::byte>;
using MutBytes = std::span<std::byte>;

inline constexpr u64 KiB = 1024;
inline constexpr u64 MiB = 1024 * KiB;
inline constexpr u64 GiB = 1024 * MiB;
inline constexpr u64 TiB = 1024 * GiB;
inline constexpr u64 PiB = 1024 * TiB;

/// A block: the unit of copy-on-write and of checksums.
inline constexpr u64 block_size = 4096;
/// The largest volume.
inline constexpr u64 volume_size_max = PiB;

constexpr u64 round_up(u64 value, u64 unit) { return (value + unit - 1) / unit * unit; }
constexpr u64 round_down(u64 value, u64 unit) { return value / unit * unit; }
constexpr u64 div_up(u64 value, u64 unit) { return (value + unit - 1) / unit; }

}  // namespace brindle
