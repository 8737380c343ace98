#include "cli/labels.h"

#include <memory>

#include <fmt/format.h>

#include "cli/show.h"

namespace brindle::cli {

Json changed_labels(Json labels, const std::vector<std::string>& changes) {
  if (!labels.is_object()) labels = Json::object();
  for (const auto& change : changes) {
    const size_t equals = change.find('=');
    if (equals != std::string::npos && equals > 0) {
      labels[change.substr(0, equals)] = change.substr(equals + 1);
    } else if (equals == std::string::npos && change.size() > 1 && change.back() == '-') {
      labels.erase(change.substr(0, change.size() - 1));
    } else {
      refuse(Code::invalid, fmt::format("{} changes no label: give K=V to set one, or K- to remove it",
                                        change.empty() ? "''" : change));
    }
  }
  return labels;
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
        changed_labels({}, given->changes);  // malformed ones are refused before anything is asked
        const Client client = context.client();
        const Json before = client.get(path_of(given->name));
        const Json labels = changed_labels(before.value("labels", Json::object()), given->changes);
        const Json after = client.patch(path_of(given->name), {{"labels", labels}});
        context.document(after);
        const std::string text = shown_labels(after.value("labels", Json::object()));
        context.say(fmt::format("{}: {}", given->name, text.empty() ? "no labels" : text));
      });
  add_argument(*verb, shown, given->name, what, "what to label");
  add_arguments(*verb, "CHANGE", given->changes, kind::fresh, "K=V sets a label, K- removes it");
}

}  // namespace brindle::cli
