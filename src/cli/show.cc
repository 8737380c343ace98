#include "cli/show.h"

#include <ctime>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/table.h"

namespace brindle::cli {

std::string shown_size(const Json& value) { return value.is_number_integer() ? format_size(value.get<u64>()) : "-"; }

std::string shown_time(const std::string& rfc3339) {
  std::tm utc{};
  if (::strptime(rfc3339.c_str(), "%Y-%m-%dT%H:%M:%S", &utc) == nullptr) return rfc3339;
  const std::time_t seconds = ::timegm(&utc);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local)};
}

std::string shown_labels(const Json& labels) {
  std::string out;
  if (!labels.is_object()) return out;
  for (const auto& [key, value] : labels.items()) {
    if (!out.empty()) out += ',';
    out += fmt::format("{}={}", key, value.get<std::string>());
  }
  return out;
}

std::string counted(size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string enumerated(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " and " : ", ";
    out += names[i];
  }
  return out;
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

namespace {

const Json& at(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

std::string clients_of(const Json& entry) {
  const u64 clients = entry.value("clients", u64{0});
  return clients == 0 ? "-" : std::to_string(clients);
}

/// Volumes or snapshots; they differ in one column.
template <class Own>
std::string entry_table(const Json& entries, const char* own_title, Own own) {
  Table table({{"NAME"},
               {"SIZE", Align::right},
               {"REFERENCED", Align::right},
               {"EXCLUSIVE", Align::right},
               {"CLIENTS", Align::right},
               {"CREATED"},
               {own_title},
               {"LABELS"}});
  for (const auto& entry : entries) {
    table.add({text_at(entry, "name"), shown_size(at(entry, "size")), shown_size(at(entry, "referenced")),
               shown_size(at(entry, "exclusive")), clients_of(entry), shown_time(text_at(entry, "created")), own(entry),
               shown_labels(at(entry, "labels"))});
  }
  return table.empty() ? "" : table.text();
}

}  // namespace

std::string volume_table(const Json& volumes) {
  return entry_table(volumes, "ORIGIN", [](const Json& volume) { return text_at(volume, "origin"); });
}

std::string snapshot_table(const Json& snapshots) {
  return entry_table(snapshots, "PROTECTED",
                     [](const Json& snapshot) { return std::string(snapshot.value("protected", false) ? "yes" : ""); });
}

std::string details(const Json& entry) {
  const auto exact = [&](const char* key) {
    const Json& value = at(entry, key);
    if (!value.is_number_integer()) return std::string("-");
    const u64 bytes = value.get<u64>();
    return bytes < KiB ? format_size(bytes) : fmt::format("{} ({} bytes)", format_size(bytes), bytes);
  };
  std::vector<std::pair<std::string, std::string>> lines{
      {"name", text_at(entry, "name")},
      {"uuid", text_at(entry, "uuid")},
      {"size", exact("size")},
      {"referenced", exact("referenced")},
      {"exclusive", exact("exclusive")},
      {"created", shown_time(text_at(entry, "created"))},
      {"origin", text_at(entry, "origin")},
      {"clients", std::to_string(entry.value("clients", u64{0}))},
      {"protected", entry.contains("protected") ? (entry["protected"].get<bool>() ? "yes" : "no") : ""},
      {"labels", shown_labels(at(entry, "labels"))}};
  return key_values(lines);
}

}  // namespace brindle::cli
