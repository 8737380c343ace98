// json.h: JSON going out, written straight into one string, since a list may have a hundred thousand entries.
//
// Holds:  what is written is UTF-8: bytes of a string that are not are replaced by U+FFFD.
// Caller: any thread; a writer belongs to one.
#pragma once

#include <string>
#include <string_view>

#include "base/units.h"
#include "volume/engine.h"

namespace brindle::control {

/// Writes values one after the other and sets the commas itself.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);
  JsonWriter& value(u64 number);
  JsonWriter& value(bool flag);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& null();

  template <class T>
  JsonWriter& member(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  JsonWriter& member(std::string_view name, const std::optional<u64>& number) {
    return number ? key(name).value(*number) : key(name).null();
  }

  size_t size() const { return text_.size(); }
  /// What was written since the last take; writing may go on.
  std::string take() { return std::exchange(text_, {}); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void comma();
  void quote(std::string_view text);

  std::string text_;
  bool comma_due_ = false;
};

/// RFC 3339, UTC, milliseconds: "2026-11-24T16:05:00.123Z".
std::string time_text(u64 ns_since_1970);

void write_entry(JsonWriter& to, const EntryInfo& entry);
void write_damage(JsonWriter& to, const std::vector<DamageRange>& damage);

}  // namespace brindle::control
