// completion.h: the CLI11 tree as what a shell needs to complete a command line, and that as a shell's script.
//
// Holds:  everything comes from the tree, so a script never knows a verb or an option that brindle does not have.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace brindle::cli {

struct Completable {
  std::string kind;                  // "volume", "snapshot", "any", "file", "dir", "choice", or "" for nothing
  std::vector<std::string> choices;  // of a "choice"
};

struct OptionModel {
  std::string name;  // "--size"
  std::string description;
  bool takes_value = false;
  Completable value;
};

struct ArgumentModel {
  Completable value;
  bool repeated = false;
};

struct VerbModel {
  std::string path;  // "volume create", "" for brindle itself
  std::string description;
  std::vector<std::string> verbs;  // of a group, or of brindle
  std::vector<OptionModel> options;
  std::vector<ArgumentModel> arguments;
};

/// brindle itself, and then every verb and group; hidden verbs are left out.
std::vector<VerbModel> describe_tree(const CLI::App& app);

/// How a script writes down what is completed: its kind, "none", or "choice:" with the choices.
std::string value_word(const Completable& value);

std::string bash_script(const std::vector<VerbModel>& verbs);
std::string zsh_script(const std::vector<VerbModel>& verbs);
std::string fish_script(const std::vector<VerbModel>& verbs);

}  // namespace brindle::cli
