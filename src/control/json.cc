#include "control/json.h"

#include <ctime>

#include <fmt/format.h>

namespace brindle::control {

namespace {

/// Bytes of the well-formed UTF-8 sequence at the beginning of `text` (RFC 3629, section 4); 0 when it is not one.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<u8>(text[i]) : u8{0}; };
  const auto tail = [&](size_t i, u8 low = 0x80, u8 high = 0xbf) { return byte(i) >= low && byte(i) <= high; };
  const u8 first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool second = tail(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
    return second && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool second = tail(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
    return second && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

void JsonWriter::comma() {
  if (comma_due_) text_ += ',';
  comma_due_ = true;
}

JsonWriter& JsonWriter::open(char bracket) {
  comma();
  text_ += bracket;
  comma_due_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  text_ += bracket;
  comma_due_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  comma();
  quote(name);
  text_ += ':';
  comma_due_ = false;
  return *this;
}

JsonWriter& JsonWriter::value(u64 number) {
  comma();
  fmt::format_to(std::back_inserter(text_), "{}", number);
  return *this;
}

JsonWriter& JsonWriter::value(bool flag) {
  comma();
  text_ += flag ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  comma();
  quote(text);
  return *this;
}

JsonWriter& JsonWriter::null() {
  comma();
  text_ += "null";
  return *this;
}

void JsonWriter::quote(std::string_view text) {
  text_ += '"';
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t length = utf8_length(text.substr(i));
    if (length == 0) {
      text_ += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (static_cast<u8>(c) < 0x20) {
      fmt::format_to(std::back_inserter(text_), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      text_.append(text, i, length);
    }
    i += length;
  }
  text_ += '"';
}

std::string time_text(u64 ns_since_1970) {
  constexpr u64 ns_a_ms = 1'000'000;
  constexpr u64 ms_a_second = 1'000;
  const u64 ms = ns_since_1970 / ns_a_ms;
  const auto seconds = static_cast<std::time_t>(ms / ms_a_second);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, ms % ms_a_second);
}

void write_entry(JsonWriter& to, const EntryInfo& entry) {
  to.begin_object();
  to.member("name", entry.name).member("uuid", entry.uuid).member("size", entry.size).member("origin", entry.origin);
  to.member("created", time_text(entry.created_ns));
  to.member("referenced", entry.referenced).member("exclusive", entry.exclusive).member("clients", entry.clients);
  if (entry.is_snapshot) to.member("volume", entry.volume).member("protected", entry.is_protected);
  to.key("labels").begin_object();
  for (const auto& [name, value] : entry.labels) to.member(name, value);
  to.end_object().end_object();
}

void write_damage(JsonWriter& to, const std::vector<DamageRange>& damage) {
  to.begin_array();
  for (const DamageRange& range : damage) {
    to.begin_object().member("volume", range.volume).member("offset", range.offset).member("length", range.length);
    to.member("kind", range.kind).end_object();
  }
  to.end_array();
}

}  // namespace brindle::control
