#include "cli/completion.h"

#include <cstdlib>
#include <fstream>

#include <unistd.h>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "cli/run.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

/// The script in a file of its own, gone with this.
class Script {
 public:
  explicit Script(const std::string& shell) : path_(fmt::format("/tmp/cli-completion-{}-{}", shell, ::getpid())) {
    std::ofstream(path_) << run({"completion", shell}, {}).out;
  }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  ~Script() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool is_installed(const std::string& shell) {
  return std::system(fmt::format("command -v {} >/dev/null 2>&1", shell).c_str()) == 0;
}

/// What bash would offer for the line, one a line, sorted.
std::string bash_offers(const std::string& line) {
  const Script script("bash");
  const std::string command = fmt::format(
      "bash -c 'source {}; compopt() {{ :; }}; COMP_LINE=\"{}\"; COMP_POINT=${{#COMP_LINE}}; _brindle; "
      "printf \"%s\\n\" \"${{COMPREPLY[@]}}\" | sort'",
      script.path(), line);
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof(buffer), pipe)) out.append(buffer, n);
  ::pclose(pipe);
  return out;
}

}  // namespace

TEST(Completion, the_model_knows_verbs_options_and_what_arguments_name) {
  CLI::App app;
  Context context;
  add_all(app, context);
  for (const auto& verb : describe_tree(app)) {
    EXPECT_NE(verb.path, "__complete");
    if (verb.path != "rollback") continue;
    EXPECT_EQ(verb.arguments.size(), 1u);
    EXPECT_EQ(verb.arguments.at(0).value.kind, "snapshot");
    EXPECT_TRUE(verb.arguments.at(0).repeated);
    EXPECT_EQ(verb.options.size(), 4u);  // and --help
  }
}

TEST(Completion, bash_offers_verbs_options_and_choices) {
  EXPECT_EQ(bash_offers("brindle sn"), "snapshot\n");
  EXPECT_EQ(bash_offers("brindle volume re"), "rename\nresize\n");
  EXPECT_EQ(bash_offers("brindle --state x volume list --so"), "--sort\n");
  EXPECT_EQ(bash_offers("brindle volume list --sort "), "created\nexclusive\nname\nreferenced\nsize\n");
  EXPECT_EQ(bash_offers("brindle volume list --sort=cr"), "created\n");
  EXPECT_EQ(bash_offers("brindle volume create db --size 1G --js"), "--json\n");
  EXPECT_EQ(bash_offers("brindle completion z"), "zsh\n");
}

TEST(Completion, every_shell_that_is_here_loads_its_script) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    if (!is_installed(shell)) continue;
    const Script script(shell);
    const std::string quiet = shell == "zsh" ? "zsh -f" : shell;
    EXPECT_EQ(std::system(fmt::format("{} -n {}", quiet, script.path()).c_str()), 0) << shell;
    EXPECT_EQ(std::system(fmt::format("HOME=/nonexistent {} -c 'source {}' 2>&1 | grep . && exit 1 || exit 0", quiet,
                                      script.path())
                              .c_str()),
              0)
        << shell;
  }
}

}  // namespace brindle::cli
