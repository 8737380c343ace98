// config.cc: the configuration file: TOML with the long options as keys, and no other keys.
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <string>

#include <toml++/toml.h>

#include "daemon/options.h"

namespace brindle::daemon {

namespace {

/// A value that the command line would take as a word: a string, or a whole number.
std::optional<std::string> word(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer(); number != nullptr && number->get() >= 0) return std::to_string(number->get());
  return std::nullopt;
}

/// One path, or several.
std::optional<std::vector<std::string>> words(const toml::node& node) {
  if (const auto* text = node.as_string()) return std::vector<std::string>{text->get()};
  const auto* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> all;
  for (const toml::node& element : *array) {
    const auto* text = element.as_string();
    if (text == nullptr) return std::nullopt;
    all.push_back(text->get());
  }
  return all;
}

std::optional<bool> flag(const toml::node& node) {
  const auto* value = node.as_boolean();
  return value != nullptr ? std::optional(value->get()) : std::nullopt;
}

}  // namespace

Result<ConfigValues> read_config(const std::string& path) {
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open() || file.bad()) {
    return Error{Code::invalid, fmt::format("--config: {}: it cannot be read: name a file that is there", path)};
  }
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    return Error{Code::invalid, fmt::format("--config: {}:{}: {}", path, error.source().begin.line, error.description())};
  }
  ConfigValues values;
  for (const auto& [key, node] : table) {
    const std::string_view name = key.str();
    const auto set = [&](auto& to, auto value, std::string_view kind) -> Status {
      to = std::move(value);
      if (to) return {};
      return Error{Code::invalid, fmt::format("--config: {}:{}: {} must be {}", path, node.source().begin.line, name, kind)};
    };
    Status status;
    if (name == "state") {
      status = set(values.state, word(node), "a string");
    } else if (name == "pool") {
      status = set(values.pools, words(node), "a string, or an array of strings");
    } else if (name == "create") {
      status = set(values.create, flag(node), "true or false");
    } else if (name == "force") {
      status = set(values.force, flag(node), "true or false");
    } else if (name == "pool-size") {
      status = set(values.pool_size, word(node), "a size, as in \"10G\"");
    } else if (name == "memory") {
      status = set(values.memory, word(node), "a size, as in \"256M\"");
    } else if (name == "ack") {
      status = set(values.ack, word(node), "\"device\" or \"staged\"");
    } else if (name == "staging") {
      status = set(values.staging, word(node), "a string");
    } else if (name == "cores") {
      status = set(values.cores, word(node), "a list, as in \"0,2-3\"");
    } else if (name == "nbd") {
      status = set(values.nbd, word(node), "a string, ADDR:PORT");
    } else if (name == "http") {
      status = set(values.http, word(node), "a string, ADDR:PORT");
    } else if (name == "log-level") {
      status = set(values.log_level, word(node), "a string");
    } else {
      status = Error{Code::invalid, fmt::format("--config: {}:{}: the key {} is not known: keys are long options of brindled "
                                                "without the dashes",
                                                path, node.source().begin.line, name)};
    }
    if (!status) return status.error();
  }
  return values;
}

}  // namespace brindle::daemon
