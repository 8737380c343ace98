// `brindle rollback`: volumes back to what a snapshot holds; newer snapshots stay.
#include <memory>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_rollback(CLI::App& app, Context& context) {
  struct Given {
    std::vector<std::string> snapshots;
    bool discard = false, force = false, wait = false;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb = add_verb(
      app, context, "rollback",
      "Puts volumes back to what a snapshot holds, all or none.\n"
      "Newer snapshots stay, and what the volume held is saved as VOLUME@before-rollback-N.",
      {"brindle rollback db@monday", "brindle rollback db@v1 web@v1 --discard"}, [given, &context] {
        check_each(given->snapshots, check_snapshot);
        Json body{{"snapshots", given->snapshots}};
        if (given->discard) body["discard"] = true;
        if (given->force) body["force"] = true;
        if (given->wait) body["wait"] = true;
        const Json answer = context.client().post("/v1/rollback", body);
        context.document(answer);
        const auto saved = answer.at("saved").get<std::vector<std::string>>();
        for (size_t i = 0; i < given->snapshots.size(); ++i) {
          const std::string& snapshot = given->snapshots[i];
          const std::string volume = snapshot.substr(0, snapshot.find('@'));
          context.say(i < saved.size() ? fmt::format("{} is back at {}; what it held is {}", volume, snapshot, saved[i])
                                       : fmt::format("{} is back at {}", volume, snapshot));
        }
      });
  add_arguments(*verb, "VOLUME@SNAP", given->snapshots, kind::snapshot, "a snapshot for each volume that goes back");
  verb->add_flag("--discard", given->discard, "do not save what the volume held");
  add_force(*verb, given->force, "even while clients have it open for writing");
  add_wait(*verb, given->wait);
}

}  // namespace brindle::cli
