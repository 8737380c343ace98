// docs/cli.md against the CLI11 tree: a verb or an option that the page does not name fails here.
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "cli/completion.h"
#include "cli/help.h"
#include "cli/run.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

std::string page() {
  std::ifstream file(BRINDLE_SOURCE_DIR "/docs/cli.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// What stands under the heading "### `brindle PATH ...`", up to the next heading.
std::string section_of(const std::string& text, const std::string& path) {
  const std::regex heading("\n### `brindle " + path + "[ `]");
  std::smatch found;
  if (!std::regex_search(text, found, heading)) return "";
  const size_t begin = static_cast<size_t>(found.position());
  return text.substr(begin, text.find("\n#", begin + 2) - begin);
}

struct Tree {
  Tree() { add_all(app, context); }
  CLI::App app;
  Context context;
};

}  // namespace

TEST(Docs, every_verb_has_a_section_that_names_each_of_its_options_and_no_others) {
  const std::string text = page();
  ASSERT_FALSE(text.empty());
  Tree tree;
  for (const auto& verb : describe_tree(tree.app)) {
    if (!verb.verbs.empty()) continue;
    const std::string section = section_of(text, verb.path);
    EXPECT_FALSE(section.empty()) << "docs/cli.md has no heading for " << verb.path;
    std::set<std::string> known;
    for (const auto& option : verb.options) {
      known.insert(option.name);
      if (option.name != "--help") {
        EXPECT_NE(section.find("`" + option.name), std::string::npos)
            << verb.path << " " << option.name << " is not in docs/cli.md";
      }
    }
    const std::regex named("`(--[a-z-]+)");
    for (auto at = std::sregex_iterator(section.begin(), section.end(), named); at != std::sregex_iterator(); ++at) {
      const std::string option = (*at)[1];
      EXPECT_TRUE(known.contains(option) || option == "--json" || option == "--state")
          << "docs/cli.md gives " << verb.path << " the option " << option;
    }
  }
}

TEST(Docs, every_global_option_is_named) {
  const std::string text = page();
  Tree tree;
  const auto verbs = describe_tree(tree.app);
  for (const auto& option : verbs.front().options) {
    EXPECT_NE(text.find("`" + option.name), std::string::npos) << option.name;
  }
}

TEST(Docs, every_verb_has_help_with_an_example_of_itself) {
  Tree tree;
  for (const auto& verb : describe_tree(tree.app)) {
    std::vector<std::string> arguments;
    std::istringstream words(verb.path);
    for (std::string word; words >> word;) arguments.push_back(word);
    arguments.push_back("--help");
    const Outcome outcome = run(arguments, {});
    EXPECT_EQ(outcome.exit, 0) << verb.path;
    EXPECT_EQ(outcome.err, "");
    EXPECT_TRUE(outcome.out.starts_with("brindle" + std::string(verb.path.empty() ? "" : " ") + verb.path))
        << outcome.out;
    if (verb.verbs.empty()) {
      const size_t examples = outcome.out.find("\nExample");
      EXPECT_NE(outcome.out.find("brindle " + verb.path, examples), std::string::npos) << outcome.out;
    }
    for (const auto& option : verb.options) {
      if (option.name == "--help") continue;
      EXPECT_NE(outcome.out.find(option.name), std::string::npos) << verb.path << " " << option.name;
    }
  }
}

}  // namespace brindle::cli
