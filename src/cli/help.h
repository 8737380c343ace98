// help.h: `--help` of a verb: how it is typed, what it does, each argument and option, examples.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace brindle::cli {

class Help : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

/// A description's first sentence, on one line.
std::string summary(const std::string& description);

/// "brindle volume create NAME --size SIZE [options]"; `name`: "brindle volume create".
std::string usage_line(const CLI::App& app, const std::string& name);

/// What stands for an option's value: "SIZE"; "" for a flag.
std::string value_name(const CLI::Option& option);

/// Of the verbs and options, those that are meant to be seen.
std::vector<const CLI::App*> shown_verbs(const CLI::App& app);
std::vector<const CLI::Option*> shown_options(const CLI::App& app);
std::vector<const CLI::Option*> arguments_of(const CLI::App& app);

}  // namespace brindle::cli
