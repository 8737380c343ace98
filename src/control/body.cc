#include "control/body.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/names.h"

namespace brindle::control {

namespace {

constexpr size_t strings_max = 200'000;  // in one array: all names of a large pool
constexpr size_t fields_max = 64;        // in one object: as many as labels can be, and more than any call has
constexpr size_t shown_max = 60;

std::string shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, shown_max)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

/// Takes the parser's events; returning false ends it.
class Events {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  std::map<std::string, BodyValue, std::less<>> fields;
  std::string error;

  bool null() { return fail("a value is null: leave the field out instead"); }
  bool boolean(bool flag) { return scalar(flag, "a flag"); }
  bool number_integer(number_integer_t) { return fail(fmt::format("{}: a number is negative", field_)); }
  bool number_unsigned(number_unsigned_t number) { return scalar(u64{number}, "a number"); }
  bool number_float(number_float_t, const string_t& text) {
    return fail(fmt::format("{}: {} is not a whole number that fits", field_, shown(text)));
  }
  bool binary(binary_t&) { return fail("binary data"); }
  bool string(string_t& text) {
    if (depth_ == 0) return fail("the body is a string, and not an object");
    if (depth_ == 1) return put(std::move(text));
    if (auto* array = std::get_if<std::vector<std::string>>(&fields[field_])) {
      if (array->size() == strings_max) return fail(fmt::format("{}: more than {} of them", field_, strings_max));
      array->push_back(std::move(text));
      return true;
    }
    std::get<Labels>(fields[field_]).emplace(label_, std::move(text));
    return true;
  }
  bool start_object(size_t) {
    if (depth_ == 2) return too_deep();
    if (++depth_ == 1) return true;
    return put(Labels());
  }
  bool start_array(size_t) {
    if (depth_ == 0) return fail("the body is an array, and not an object");
    if (depth_ == 2) return too_deep();
    ++depth_;
    return put(std::vector<std::string>());
  }
  bool end_object() { return --depth_, true; }
  bool end_array() { return --depth_, true; }
  bool key(string_t& name) {
    if (depth_ == 1) {
      if (fields.count(name) > 0) return fail(fmt::format("{} is there twice", shown(name)));
      if (fields.size() == fields_max) return fail("too many fields");
      field_ = std::move(name);
      return true;
    }
    const auto& labels = std::get<Labels>(fields[field_]);
    if (labels.count(name) > 0) return fail(fmt::format("{}: {} is there twice", field_, shown(name)));
    if (labels.size() == fields_max) return fail(fmt::format("{}: more than {} of them", field_, fields_max));
    label_ = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) {
    return fail(fmt::format("the body is not JSON, at byte {}", position));
  }

 private:
  bool fail(std::string message) {
    if (error.empty()) error = std::move(message);
    return false;
  }
  bool too_deep() { return fail(fmt::format("{}: a list or object in a list or object", shown(field_))); }
  bool put(BodyValue value) {
    fields[field_] = std::move(value);
    return true;
  }
  template <class T>
  bool scalar(T value, std::string_view what) {
    if (depth_ == 0) return fail(fmt::format("the body is {}, and not an object", what));
    if (depth_ == 2) return fail(fmt::format("{}: {} where only strings may stand", shown(field_), what));
    return put(value);
  }

  int depth_ = 0;
  std::string field_;
  std::string label_;
};

}  // namespace

Result<Body> Body::parse(std::string_view text) {
  Body body;
  if (text.empty()) return body;
  Events events;
  if (!nlohmann::json::sax_parse(text, &events)) return Error{Code::invalid, events.error};
  for (auto& [name, value] : events.fields) body.fields_[name].value = std::move(value);
  return body;
}

void Body::fail(std::string message) {
  if (status_) status_ = Error{Code::invalid, std::move(message)};
}

template <class T>
T Body::get(std::string_view field, std::string_view kind) {
  const auto at = fields_.find(field);
  if (at == fields_.end()) return T();
  at->second.known = true;
  if (T* value = std::get_if<T>(&at->second.value)) return *value;
  fail(fmt::format("{} must be {}", field, kind));
  return T();
}

bool Body::flag(std::string_view field) { return get<bool>(field, "true or false"); }
std::string Body::text(std::string_view field) { return get<std::string>(field, "a string"); }

std::vector<std::string> Body::texts(std::string_view field) {
  return get<std::vector<std::string>>(field, "an array of strings");
}

Labels Body::labels(std::string_view field) { return get<Labels>(field, "an object of strings"); }

u64 Body::size(std::string_view field) {
  const auto at = fields_.find(field);
  if (at == fields_.end()) return 0;
  at->second.known = true;
  Result<u64> size = Error{Code::invalid, fmt::format("{} must be a number of bytes, or a string like \"10G\"", field)};
  if (const u64* number = std::get_if<u64>(&at->second.value)) {
    const Status fits = check_size(*number);
    size = fits ? Result<u64>(*number) : Result<u64>(fits.error());
  } else if (const std::string* text = std::get_if<std::string>(&at->second.value)) {
    size = parse_size(*text);
  }
  if (size) return *size;
  fail(size.error().message);
  return 0;
}

void Body::require(std::string_view field) {
  if (!has(field)) fail(fmt::format("the field {} is missing", field));
}

Status Body::finish() const {
  if (!status_) return status_;
  for (const auto& [name, field] : fields_) {
    if (!field.known) return Error{Code::invalid, fmt::format("the field {} is not known here", shown(name))};
  }
  return {};
}

}  // namespace brindle::control
