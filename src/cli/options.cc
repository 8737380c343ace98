#include "cli/options.h"

#include <fmt/format.h>

#include "base/names.h"

namespace brindle::cli {

namespace {

std::string whole_number(const std::string& text) {
  const bool is_one = !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
  return is_one ? "" : text + " is no whole number";
}

}  // namespace

CLI::App* add_group(CLI::App& parent, const std::string& name, const std::string& description) {
  CLI::App* group = parent.add_subcommand(name, description);
  // Exactly one: CLI11 would otherwise take a volume called "list" for the verb next to this one.
  group->require_subcommand(1);
  return group;
}

CLI::App* add_verb(CLI::App& parent, Context& context, const std::string& name, const std::string& description,
                   std::initializer_list<const char*> examples, std::function<void()> body) {
  CLI::App* verb = parent.add_subcommand(name, description);
  std::string footer = examples.size() == 1 ? "Example:" : "Examples:";
  for (const char* example : examples) (footer += "\n  ") += example;
  verb->footer(footer);
  verb->callback([&context, body = std::move(body)] { context.body = body; });
  return verb;
}

CLI::Option* add_argument(CLI::App& verb, const std::string& shown, std::string& value, const char* what,
                          const std::string& description) {
  return verb.add_option(shown, value, description)->required()->type_name(what);
}

CLI::Option* add_arguments(CLI::App& verb, const std::string& shown, std::vector<std::string>& values, const char* what,
                           const std::string& description) {
  return verb.add_option(shown, values, description)->required()->type_name(what);
}

void add_labels(CLI::App& verb, std::vector<std::string>& labels, const std::string& description) {
  // One value each time: `--label a=b db` leaves db to the arguments.
  verb.add_option("--label", labels, description)
      ->type_name("K=V")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

void add_wait(CLI::App& verb, bool& wait) {
  verb.add_flag("--wait", wait, "return only when the space is back, not as soon as the change is durable");
}

void add_force(CLI::App& verb, bool& force, const std::string& description) {
  verb.add_flag("--force", force, description);
}

void add_list_options(CLI::App& verb, ListOptions& options) {
  add_labels(verb, options.labels, "only those with this label (several: with all of them)");
  verb.add_option("--sort", options.sort, "order: by name unless said otherwise")
      ->type_name("name|size|created|referenced|exclusive")
      ->check(CLI::IsMember({"name", "size", "created", "referenced", "exclusive"}));
  verb.add_flag("--reverse", options.reverse, "the other way round");
  verb.add_option("--limit", options.limit, "at most N of them")->type_name("N")->check(whole_number, "");
  verb.add_option("--offset", options.offset, "without the first N")->type_name("N")->check(whole_number, "");
}

Query list_query(const ListOptions& options) {
  parse_labels(options.labels);
  Query query;
  for (const auto& label : options.labels) query.emplace_back("label", label);
  if (!options.sort.empty()) query.emplace_back("sort", options.sort);
  if (options.reverse) query.emplace_back("reverse", "true");
  if (!options.limit.empty()) query.emplace_back("limit", options.limit);
  if (!options.offset.empty()) query.emplace_back("offset", options.offset);
  return query;
}

u64 checked_size(const std::string& text) { return must(parse_size(text)); }

void check_any(const std::string& name) { must(parse_name(name)); }

void check_volume(const std::string& name) {
  const FullName full = must(parse_name(name));
  if (!full.snapshot.empty()) {
    refuse(Code::invalid, fmt::format("{} is the name of a snapshot: give a volume, or use `brindle snapshot`", name));
  }
}

void check_snapshot(const std::string& name) {
  const FullName full = must(parse_name(name));
  if (full.snapshot.empty()) refuse(Code::invalid, fmt::format("{} names no snapshot: give VOLUME@SNAP", name));
}

Json parse_labels(const std::vector<std::string>& labels) {
  Json object = Json::object();
  for (const auto& label : labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      refuse(Code::invalid, fmt::format("the label {} is not K=V: give a key, =, and a value (which may be empty)",
                                        label.empty() ? "''" : label));
    }
    object[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return object;
}

}  // namespace brindle::cli
