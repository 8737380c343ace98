// codec.h: little-endian writing and bounds-checked reading of on-disk and on-wire bytes.
//
// Holds:  1. A Reader never reads past its bytes: after the first short read `ok()` is false, and every value is zero.
//         2. A number has one encoding only: a varint that is longer than it need be, or that exceeds 64 bits, is refused.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/units.h"

namespace brindle {

static_assert(std::endian::native == std::endian::little, "the on-disk format is little-endian; so are its hosts");

class Writer {
 public:
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void put(const T& value) {
    const auto* at = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), at, at + sizeof(T));
  }
  /// LEB128: seven bits a byte, the lowest first.
  void put_varint(u64 value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<std::byte>(value | 0x80));
    bytes_.push_back(static_cast<std::byte>(value));
  }
  void put_string(std::string_view text) {
    put_varint(text.size());
    put_bytes(std::as_bytes(std::span(text)));
  }
  void put_bytes(Bytes bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void put_words(const std::vector<u64>& words) { put_bytes(std::as_bytes(std::span(words))); }
  template <class T>
  void patch(size_t offset, const T& value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof(T));
  }
  void reserve(size_t size) { bytes_.reserve(size); }
  size_t size() const { return bytes_.size(); }
  Bytes bytes() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }
  void clear() { bytes_.clear(); }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  template <class T>
    requires std::is_trivially_copyable_v<T>
  T get() {
    T value{};
    if (Bytes from = get_bytes(sizeof(T)); !from.empty()) std::memcpy(&value, from.data(), sizeof(T));
    return value;
  }
  u64 get_varint() {
    u64 value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = get<u8>();
      value |= static_cast<u64>(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      const bool overlong = byte == 0 && shift > 0;
      const bool too_large = shift == 63 && byte > 1;
      if (overlong || too_large) break;
      return ok_ ? value : 0;
    }
    ok_ = false;
    return 0;
  }
  std::string get_string(size_t size_max) {
    const u64 size = get_varint();
    if (size > size_max) {
      ok_ = false;
      return {};
    }
    const Bytes from = get_bytes(size);
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  Bytes get_bytes(u64 size) {
    if (!ok_ || size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const Bytes from = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return from;
  }
  /// None where so many are not there.
  std::vector<u64> get_words(u64 count) {
    const Bytes from = count <= bytes_.size() / sizeof(u64) ? get_bytes(count * sizeof(u64)) : Bytes();
    if (from.empty()) {
      if (count > 0) ok_ = false;
      return {};
    }
    std::vector<u64> words(count);
    std::memcpy(words.data(), from.data(), from.size());
    return words;
  }
  /// What was read makes no sense.
  void fail() { ok_ = false; }
  size_t left() const { return bytes_.size(); }
  bool ok() const { return ok_; }
  /// Everything was read, and nothing was missing.
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  Bytes bytes_;
  bool ok_ = true;
};

}  // namespace brindle
