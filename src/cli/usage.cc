#include "cli/usage.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "cli/help.h"

namespace brindle::cli {

namespace {

const CLI::App& deepest(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? app : deepest(*parsed.back());
}

/// Edits that turn one word into the other (Levenshtein, one row at a time).
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// The word that was probably meant, or "".
std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = word.size() <= 3 ? 2 : word.size() <= 6 ? 3 : 4;
  for (const auto& candidate : known) {
    const size_t far = distance(word, candidate);
    if (far < best_distance) {
      best = candidate;
      best_distance = far;
    }
  }
  return best;
}

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* verb : shown_verbs(app)) names.push_back(verb->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const auto* option : shown_options(*at)) {
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::string unexpected(const CLI::App& at, const std::string& word) {
  const bool is_option = word.size() > 1 && word.front() == '-';
  const bool wants_verb = !is_option && !shown_verbs(at).empty();
  const std::string meant = is_option    ? nearest(word.substr(0, word.find('=')), option_names(at))
                            : wants_verb ? nearest(word, verb_names(at))
                                         : std::string();
  const std::string hint = meant.empty() ? "" : fmt::format(", perhaps {} is meant", meant);
  if (is_option) return fmt::format("there is no option {}{}", word, hint);
  if (wants_verb) return fmt::format("there is no verb {}{}", word, hint);
  return fmt::format("{} is one argument too many", word);
}

/// The first word that nothing took. CLI11 keeps it with the verb or above.
std::string first_left(const CLI::App& app) {
  const auto left = app.remaining(/*recurse=*/true);
  return left.empty() ? "" : left.front();
}

/// What stands before `mark` in the text, or all of it.
std::string before(const std::string& text, const std::string& mark) { return text.substr(0, text.find(mark)); }
/// What stands behind `mark`, or nothing.
std::string behind(const std::string& text, const std::string& mark) {
  const size_t at = text.find(mark);
  return at == std::string::npos ? "" : text.substr(at + mark.size());
}

/// CLI11's messages in our words. They are matched as CLI11 2.1 spells them; one that is not known is passed on.
std::string reworded(const CLI::ParseError& error) {
  const std::string text = error.what();
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) return before(text, " is required") + " is missing";
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) return before(text, ":") + " needs a value";
  if (const std::string pair = behind(text, "Could not convert: "); !pair.empty()) {
    const std::string value = behind(pair, " = ");
    return fmt::format("{} does not take {}", before(pair, " = "), value.empty() ? "an empty value" : value);
  }
  if (const std::string choices = behind(text, " not in {"); !choices.empty()) {
    return fmt::format("{} is none of {}", before(text, " not in {"), before(choices, "}"));
  }
  return text;
}

}  // namespace

std::string verb_path(const CLI::App& app) {
  std::string path;
  const CLI::App* at = &app;
  for (auto parsed = at->get_subcommands(); !parsed.empty(); parsed = at->get_subcommands()) {
    at = parsed.back();
    path += (path.empty() ? "" : " ") + at->get_name();
  }
  return path;
}

Failure usage_failure(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& at = deepest(app);
  const std::string path = verb_path(app);
  std::string why;
  const std::string left = first_left(app);
  const bool wants_verb = !shown_verbs(at).empty();
  if (!left.empty() &&
      (wants_verb || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr || left.front() == '-')) {
    why = unexpected(at, left);
  } else if (wants_verb) {
    why = fmt::format("a verb is missing, one of {}", fmt::join(verb_names(at), ", "));
  } else {
    why = reworded(error);
  }
  const std::string line = usage_line(at, "brindle" + (path.empty() ? "" : " " + path));
  if (wants_verb)
    return {Exit::usage, "usage", fmt::format("{}: see `brindle{}{} --help`", why, path.empty() ? "" : " ", path)};
  return {Exit::usage, "usage", fmt::format("{}: type `{}`", why, line)};
}

}  // namespace brindle::cli
