#include "cli/help.h"

#include <algorithm>

#include <fmt/format.h>

namespace brindle::cli {

namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

std::string two_columns(const Lines& lines) {
  size_t width = 0;
  for (const auto& [left, right] : lines) width = std::max(width, left.size());
  std::string out;
  for (const auto& [left, right] : lines) out += fmt::format("  {:<{}}  {}\n", left, width, right);
  return out;
}

std::string option_name(const CLI::Option& option) {
  const std::string name = option.get_lnames().empty() ? option.get_name() : "--" + option.get_lnames().front();
  const std::string value = value_name(option);
  return value.empty() ? name : name + " " + value;
}

bool is_repeated(const CLI::Option& option) { return option.get_items_expected_max() > 1; }

void append_section(std::string& out, const std::string& title, const Lines& lines) {
  if (lines.empty()) return;
  out += '\n';
  if (!title.empty()) out += title + "\n";
  out += two_columns(lines);
}

}  // namespace

std::string summary(const std::string& description) {
  std::string text = description;
  std::replace(text.begin(), text.end(), '\n', ' ');
  const size_t end = text.find(". ");
  return end == std::string::npos ? text : text.substr(0, end + 1);
}

std::string value_name(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));  // what CLI11 adds behind the colon tells of checks
}

std::vector<const CLI::App*> shown_verbs(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

std::vector<const CLI::Option*> shown_options(const CLI::App& app) {
  return app.get_options(
      [](const CLI::Option* option) { return option->nonpositional() && !option->get_group().empty(); });
}

std::vector<const CLI::Option*> arguments_of(const CLI::App& app) {
  return app.get_options(
      [](const CLI::Option* option) { return option->get_positional() && !option->nonpositional(); });
}

std::string usage_line(const CLI::App& app, const std::string& name) {
  std::string line = name;
  if (!shown_verbs(app).empty()) return line + " VERB ...";
  for (const auto* argument : arguments_of(app)) {
    const std::string shown = argument->get_name() + (is_repeated(*argument) ? "..." : "");
    line += argument->get_required() ? " " + shown : " [" + shown + "]";
  }
  bool has_more = false;
  for (const auto* option : shown_options(app)) {
    if (option->get_required()) line += " " + option_name(*option);
    has_more = has_more || (!option->get_required() && option != app.get_help_ptr());
  }
  return has_more ? line + " [options]" : line;
}

std::string Help::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const {
  std::string out = fmt::format("{}\n\n{}\n", usage_line(*app, name), app->get_description());

  Lines verbs;
  for (const auto* verb : shown_verbs(*app)) {
    verbs.emplace_back(verb->get_name(), summary(verb->get_description()));
  }
  append_section(out, "", verbs);

  Lines lines;
  for (const auto* argument : arguments_of(*app)) lines.emplace_back(argument->get_name(), argument->get_description());
  for (const auto* option : shown_options(*app)) {
    if (option != app->get_help_ptr() || app->get_parent() == nullptr) {
      lines.emplace_back(option_name(*option), option->get_description());
    }
  }
  append_section(out, "", lines);
  if (!app->get_footer().empty()) out += "\n" + app->get_footer() + "\n";
  if (app->get_parent() != nullptr) out += "\n--state DIR and --json may stand anywhere; see `brindle --help`.\n";
  return out;
}

}  // namespace brindle::cli
