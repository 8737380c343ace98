#include "cli/labels.h"

#include <memory>
#include <set>

#include <fmt/format.h>

#include "cli/show.h"

namespace brindle::cli {

Json label_changes(const std::vector<std::string>& changes) {
  Json set = Json::object();
  std::set<std::string> removed;
  for (const auto& change : changes) {
    const size_t equals = change.find('=');
    const std::string key = change.substr(0, equals == std::string::npos ? change.size() - 1 : equals);
    if (equals != std::string::npos && equals > 0) {
      set[key] = change.substr(equals + 1);
      removed.erase(key);
    } else if (equals == std::string::npos && change.size() > 1 && change.back() == '-') {
      set.erase(key);
      removed.insert(key);
    } else {
      refuse(Code::invalid, fmt::format("{} changes no label: give K=V to set one, or K- to remove it",
                                        change.empty() ? "''" : change));
    }
  }
  return {{"set_labels", set}, {"remove_labels", removed}};
}

void add_label_verb(CLI::App& group, Context& context, const std::string& shown, const char* what,
                    void (*check)(const std::string&), const char* example) {
  struct Given {
    std::string name;
    std::vector<std::string> changes;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb = add_verb(
      group, context, "label", "Sets labels (K=V) and removes them (K-).", {example}, [given, &context, check] {
        check(given->name);
        const Json changes = label_changes(given->changes);  // malformed ones are refused before anything is asked
        const Json after = context.client().patch(path_of(given->name), changes);
        context.document(after);
        const std::string text = shown_labels(after.value("labels", Json::object()));
        context.say(fmt::format("{}: {}", given->name, text.empty() ? "no labels" : text));
      });
  add_argument(*verb, shown, given->name, what, "what to label");
  add_arguments(*verb, "CHANGE", given->changes, kind::fresh, "K=V sets a label, K- removes it");
}

}  // namespace brindle::cli
