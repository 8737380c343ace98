#include "base/names.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

namespace brindle {

namespace {

constexpr size_t name_length_max = 128;
constexpr size_t shown_max = 40;

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/// What a message may quote: no control characters, and not a kilobyte of them.
std::string shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, shown_max)) out += c >= ' ' && c <= '~' ? c : '?';
  return text.size() > shown_max ? out + "..." : out;
}

}  // namespace

Status check_name(std::string_view name) {
  if (name.empty()) return Error{Code::invalid, "a name is empty: give 1 to 128 of A-Z a-z 0-9 . _ -"};
  if (name.size() > name_length_max) {
    return Error{Code::invalid, fmt::format("the name {} is too long: it has {} characters, and 128 are allowed",
                                            shown(name), name.size())};
  }
  if (name.front() == '-' || name.front() == '.') {
    return Error{Code::invalid, fmt::format("the name {} begins with '{}': begin with a letter, a digit or _",
                                            shown(name), name.front())};
  }
  if (!std::all_of(name.begin(), name.end(), is_name_character)) {
    return Error{Code::invalid, fmt::format("the name {} has a character that names cannot have: use A-Z a-z 0-9 . _ -",
                                            shown(name))};
  }
  return {};
}

Result<FullName> parse_name(std::string_view name) {
  const size_t at = name.find('@');
  FullName full{std::string(name.substr(0, at)), {}};
  if (auto status = check_name(full.volume); !status) return status.error();
  if (at != std::string_view::npos) {
    full.snapshot = std::string(name.substr(at + 1));
    if (auto status = check_name(full.snapshot); !status) return status.error();
  }
  return full;
}

Result<u64> parse_bytes(std::string_view text) {
  const Error malformed{Code::invalid, fmt::format("{} is not a size: give a whole number of bytes, or one with K, M, G or T",
                                                   text.empty() ? "''" : shown(text))};
  const Error huge{Code::invalid, fmt::format("the size {} is too large", shown(text))};
  if (text.empty()) return malformed;
  unsigned shift = 0;
  switch (text.back()) {
    case 'K': shift = 10; break;
    case 'M': shift = 20; break;
    case 'G': shift = 30; break;
    case 'T': shift = 40; break;
    default: break;
  }
  if (shift > 0) text.remove_suffix(1);
  if (text.empty()) return malformed;
  u64 value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return malformed;
    const u64 digit = static_cast<u64>(c - '0');
    if (value > (std::numeric_limits<u64>::max() - digit) / 10) return huge;
    value = value * 10 + digit;
  }
  if (shift > 0 && value >> (64 - shift) != 0) return huge;
  return value << shift;
}

Status check_size(u64 bytes) {
  if (bytes == 0) return Error{Code::invalid, "a size of 0: give at least 4096 bytes"};
  if (bytes % block_size != 0) {
    return Error{Code::invalid, fmt::format("the size {} is not a multiple of 4096: nearest are {} and {}", bytes,
                                            round_down(bytes, block_size), round_down(bytes, block_size) + block_size)};
  }
  if (bytes > volume_size_max) {
    return Error{Code::invalid, fmt::format("the size {} is too large: at most 1024T (1 PiB)", bytes)};
  }
  return {};
}

Result<u64> parse_size(std::string_view text) {
  auto bytes = parse_bytes(text);
  if (!bytes) return bytes;
  if (auto status = check_size(*bytes); !status) return status.error();
  return bytes;
}

std::string format_size(u64 bytes) {
  static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  double value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.{}f} {}", value, value < 100 ? 1 : 0, units[unit]);
}

}  // namespace brindle
