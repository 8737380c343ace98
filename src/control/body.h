// body.h: JSON coming in. Every body of the API is one flat object, and nothing else is taken.
//
// Holds:  1. A value is a flag, a whole number, a string, an array of strings, or an object of strings; deeper, longer and
//            doubled things are refused while they are being read, so a body takes memory as its length does.
//         2. Who reads a field marks it as known; `finish` refuses what nobody knew, so a misspelt field does no harm.
// Fails:  invalid, with the field's name.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "volume/engine.h"

namespace brindle::control {

using BodyValue = std::variant<bool, u64, std::string, std::vector<std::string>, Labels>;

class Body {
 public:
  /// An empty text is an empty object.
  static Result<Body> parse(std::string_view text);

  bool has(std::string_view field) const { return fields_.count(field) > 0; }
  /// Each gives the default where the field is absent and notes an error where it is of another kind.
  bool flag(std::string_view field);
  std::string text(std::string_view field);
  std::vector<std::string> texts(std::string_view field);
  Labels labels(std::string_view field);
  /// A size in bytes, as a number or as a string like "10G".
  u64 size(std::string_view field);
  /// Notes an error when the field is absent.
  void require(std::string_view field);
  /// The first error, or the first field that nobody asked for.
  Status finish() const;

 private:
  struct Field {
    BodyValue value;
    bool known = false;
  };
  template <class T>
  T get(std::string_view field, std::string_view kind);
  void fail(std::string message);

  std::map<std::string, Field, std::less<>> fields_;
  Status status_;
};

}  // namespace brindle::control
