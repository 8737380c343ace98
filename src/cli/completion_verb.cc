// `brindle completion`: the scripts that let shells complete brindle's command lines.
#include <memory>

#include "cli/completion.h"
#include "cli/options.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_completion(CLI::App& app, Context& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = add_verb(
      app, context, "completion", "Prints the script that makes a shell complete brindle's command lines.",
      {"source <(brindle completion bash)", "source <(brindle completion zsh)", "brindle completion fish | source"},
      [shell, &app, &context] {
        const auto verbs = describe_tree(app);
        const std::string script = *shell == "bash"  ? bash_script(verbs)
                                   : *shell == "zsh" ? zsh_script(verbs)
                                                     : fish_script(verbs);
        context.document({{"shell", *shell}, {"script", script}});
        context.print(script);
      });
  add_argument(*verb, "SHELL", *shell, "bash|zsh|fish", "bash, zsh or fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

}  // namespace brindle::cli
