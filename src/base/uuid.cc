#include "base/uuid.h"

#include <cstring>
#include <random>

#include <fmt/format.h>

namespace brindle {

namespace {

std::mt19937_64& generator() {
  static thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return random;
}

}  // namespace

Uuid fresh_uuid() {
  Uuid uuid;
  for (size_t i = 0; i < uuid.size(); i += sizeof(u64)) {
    const u64 word = generator()();
    std::memcpy(uuid.data() + i, &word, sizeof word);
  }
  uuid[6] = static_cast<u8>((uuid[6] & 0x0f) | 0x40);  // RFC 9562, version 4
  uuid[8] = static_cast<u8>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

std::string uuid_text(const Uuid& uuid) {
  std::string text;
  for (size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

void seed_uuids(u64 seed) { generator().seed(seed); }

}  // namespace brindle
