// Names and sizes as people type them: what is taken obeys the rules, and what obeys them is taken.
#include <algorithm>
#include <string>

#include "base/names.h"
#include "fuzz/input.h"

namespace brindle {
namespace {

bool letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name.front() != '-' && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), letter);
}

/// The rule again, slowly, in numbers too wide to overflow.
bool good_bytes(std::string_view text, u64& bytes) {
  unsigned __int128 value = 0;
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    value = value * 10 + static_cast<unsigned>(text[digits++] - '0');
    if (value > ~u64{0}) return false;
  }
  if (digits == 0 || text.size() > digits + 1) return false;
  if (digits < text.size()) {
    const size_t power = std::string_view("KMGT").find(text[digits]);
    if (power == std::string_view::npos) return false;
    value <<= 10 * (power + 1);
  }
  bytes = static_cast<u64>(value);
  return value <= ~u64{0};
}

}  // namespace
}  // namespace brindle

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  const std::string text(reinterpret_cast<const char*>(data), size);
  must(check_name(text).ok() == good_name(text));
  const size_t at = text.find('@');
  const auto name = parse_name(text);
  const bool snapshot = at != std::string::npos;
  must(name.ok() == (good_name(text.substr(0, at)) && (!snapshot || good_name(text.substr(at + 1)))));
  if (name) must(name->volume + (snapshot ? "@" + name->snapshot : "") == text);

  u64 bytes = 0;
  const bool good = good_bytes(text, bytes);
  const auto parsed = parse_bytes(text);
  must(parsed.ok() == good && (!good || *parsed == bytes));
  const auto volume = parse_size(text);
  must(volume.ok() == (good && bytes > 0 && bytes % block_size == 0 && bytes <= 1024 * TiB));
  if (!volume) must(!volume.error().message.empty());
  return 0;
}
