// `brindle clone`: volumes that begin as a snapshot, or as a live volume is now.
#include <memory>

#include <fmt/format.h>

#include "cli/options.h"
#include "cli/show.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_clone(CLI::App& app, Context& context) {
  struct Given {
    std::string source;
    std::vector<std::string> names, labels;
    bool if_not_exists = false;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb = add_verb(
      app, context, "clone", "Makes volumes that begin as a snapshot, or as a volume is now; all or none.",
      {"brindle clone db@monday dev", "brindle clone db test1 test2 test3 --label env=test"}, [given, &context] {
        check_any(given->source);
        check_each(given->names, check_volume);
        Json body{{"source", given->source}, {"names", given->names}};
        if (!given->labels.empty()) body["labels"] = parse_labels(given->labels);
        if (given->if_not_exists) body["if_not_exists"] = true;
        const Json volumes = context.client().post("/v1/clones", body);
        context.document(volumes);
        for (const auto& volume : volumes) {
          context.say(fmt::format("{}: a clone of {}, {}", text_at(volume, "name"), given->source,
                                  shown_size(volume.at("size"))));
        }
      });
  add_argument(*verb, "VOLUME[@SNAP]", given->source, kind::any, "what they begin as");
  add_arguments(*verb, "NEW", given->names, kind::fresh, "the clones' names: as many clones as names, in one commit");
  add_labels(*verb, given->labels, "a label to give each of them (repeatable)");
  verb->add_flag("--if-not-exists", given->if_not_exists, "pass over names that are volumes already");
}

}  // namespace brindle::cli
