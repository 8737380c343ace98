#include "control/query.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/names.h"

namespace brindle::control {

void Query::fail(std::string message) {
  if (status_) status_ = Error{Code::invalid, std::move(message)};
}

std::vector<std::string> Query::texts(std::string_view name) {
  known_.emplace(name);
  std::vector<std::string> found;
  for (const auto& [key, value] : pairs_) {
    if (key == name) found.push_back(value);
  }
  return found;
}

std::string Query::text(std::string_view name) {
  std::vector<std::string> found = texts(name);
  if (found.size() > 1) fail(fmt::format("{} is there twice", name));
  return found.empty() ? std::string() : std::move(found.front());
}

bool Query::flag(std::string_view name) {
  const std::string value = text(name);
  if (value != "" && value != "true" && value != "false") fail(fmt::format("{} must be true or false", name));
  return value == "true";
}

u64 Query::number(std::string_view name, u64 otherwise) {
  const std::string value = text(name);
  if (value.empty()) return otherwise;
  const bool digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto number = parse_bytes(value);
  if (!digits || !number) {
    fail(fmt::format("{} must be a whole number", name));
    return otherwise;
  }
  return *number;
}

Labels Query::labels() {
  Labels labels;
  for (const std::string& text : texts("label")) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      fail("label must be K=V");
      continue;
    }
    const auto [at, fresh] = labels.emplace(text.substr(0, equals), text.substr(equals + 1));
    if (!fresh && at->second != text.substr(equals + 1)) fail(fmt::format("label {} is asked for with two values, and has one", at->first));
  }
  return labels;
}

ListKey Query::sort() {
  const std::string by = text("sort");
  if (by.empty() || by == "name") return ListKey::name;
  if (by == "size") return ListKey::size;
  if (by == "created") return ListKey::created;
  if (by == "referenced") return ListKey::referenced;
  if (by == "exclusive") return ListKey::exclusive;
  fail("sort must be name, size, created, referenced or exclusive");
  return ListKey::name;
}

void Query::require(std::string_view name) {
  if (text(name).empty()) fail(fmt::format("the parameter {} is missing", name));
}

Status Query::finish() const {
  if (!status_) return status_;
  for (const auto& [key, value] : pairs_) {
    if (known_.count(key) == 0) return Error{Code::invalid, fmt::format("a parameter is not known here: {}", key.substr(0, 40))};
  }
  return {};
}

}  // namespace brindle::control
