// result.h: a value or an error. No function of Brindle throws across a room's edge.
//
// A code exists because some caller acts on it; the message is for people and says what to do next where it can.
// Each edge (NBD, HTTP, the command line) translates codes in one function of its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace brindle {

enum class Code {
  invalid,        // malformed input: a name, a size, an offset
  not_found,      // no such volume or snapshot
  exists,         // the name is taken
  busy,           // a client has it open, or another operation is under way
  is_protected,   // a protected snapshot
  no_space,       // nothing was changed
  read_only,      // a snapshot, or a pool that latched read-only
  io,             // the device failed
  corrupt,        // bytes do not match their checksum, or make no sense
  unsupported,    // a newer format, or something that this build cannot do
  stopping,       // the daemon shuts down
  cancelled,      // the caller went away
};

/// The stable spelling of a code, as HTTP and `--json` show it: "not_found".
std::string_view code_name(Code code);

struct [[nodiscard]] Error {
  Code code;
  std::string message;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { CHECK(ok()); return std::get<0>(state_); }
  const T& value() const& { CHECK(ok()); return std::get<0>(state_); }
  T&& value() && { CHECK(ok()); return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { CHECK(!ok()); return std::get<1>(state_); }
  Code code() const { return error().code; }

 private:
  std::variant<T, Error> state_;
};

/// Of one word, which is zero while all is well: every request hands one from call to call, and nearly all say just that.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}  // NOLINT
  Result(Result&&) noexcept = default;
  Result& operator=(Result&&) noexcept = default;
  Result(const Result& other) : error_(other.ok() ? nullptr : std::make_unique<Error>(*other.error_)) {}
  Result& operator=(const Result& other) { return *this = Result(other); }
  ~Result() = default;
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { CHECK(!ok()); return *error_; }
  Code code() const { return error().code; }

 private:
  std::unique_ptr<Error> error_;
};

using Status = Result<void>;

}  // namespace brindle
