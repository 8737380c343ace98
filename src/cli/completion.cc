#include "cli/completion.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/help.h"
#include "cli/options.h"

namespace brindle::cli {

namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end = text.find(at); end != std::string::npos; end = text.find(at, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

/// What an option's value or an argument names: see `kind` in options.h, and what help shows for a value.
Completable completable(const std::string& type) {
  if (type.find('|') != std::string::npos) return {"choice", split(type, '|')};
  for (const char* known : {kind::volume, kind::of_volume, kind::snapshot, kind::any, kind::file}) {
    if (type == known) return {type, {}};
  }
  if (type == "DIR") return {"dir", {}};
  if (type == "FILE" || type == "PATH") return {"file", {}};
  return {};
}

void describe(const CLI::App& app, const std::string& path, std::vector<VerbModel>& into) {
  VerbModel model;
  model.path = path;
  model.description = summary(app.get_description());
  for (const auto* verb : shown_verbs(app)) model.verbs.push_back(verb->get_name());
  for (const auto* option : shown_options(app)) {
    for (const auto& name : option->get_lnames()) {
      const std::string value = value_name(*option);
      model.options.push_back({"--" + name, summary(option->get_description()), !value.empty(), completable(value)});
    }
  }
  for (const auto* argument : arguments_of(app)) {
    model.arguments.push_back({completable(value_name(*argument)), argument->get_items_expected_max() > 1});
  }
  into.push_back(model);
  for (const auto* verb : shown_verbs(app))
    describe(*verb, path.empty() ? verb->get_name() : path + " " + verb->get_name(), into);
}

}  // namespace

std::vector<VerbModel> describe_tree(const CLI::App& app) {
  std::vector<VerbModel> verbs;
  describe(app, "", verbs);
  return verbs;
}

std::string value_word(const Completable& value) {
  if (value.kind == "choice") return fmt::format("choice:{}", fmt::join(value.choices, ":"));
  return value.kind.empty() ? "none" : value.kind;
}

}  // namespace brindle::cli
