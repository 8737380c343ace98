// The hidden `brindle __complete KIND PREFIX`: names for the shells' completion, a line each. Silent when no daemon runs.
#include <algorithm>
#include <chrono>
#include <memory>

#include "cli/options.h"
#include "cli/show.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

/// Who presses Tab waits no longer than this, and reads no more than that.
constexpr std::chrono::milliseconds patience{1000};
constexpr size_t names_max = 1000;

void collect(std::vector<std::string>& names, const Json& entries, const std::string& prefix, const char* suffix) {
  for (const auto& entry : entries) {
    const std::string name = text_at(entry, "name") + suffix;
    if (name.starts_with(prefix) && names.size() < names_max) names.push_back(name);
  }
}

std::vector<std::string> find_names(const Client& client, const std::string& what, const std::string& prefix) {
  std::vector<std::string> names;
  const size_t at = prefix.find('@');
  const bool volumes = what == kind::volume || what == kind::any || what == kind::of_volume;
  if (volumes && at == std::string::npos) {
    collect(names, client.get("/v1/volumes"), prefix, what == kind::of_volume ? "@" : "");
  }
  if (what == kind::snapshot || what == kind::any) {
    Query query;
    if (at != std::string::npos) query.emplace_back("volume", prefix.substr(0, at));
    collect(names, client.get("/v1/snapshots", query), prefix, "");
  }
  return names;
}

}  // namespace

void add_complete(CLI::App& app, Context& context) {
  struct Given {
    std::string what, prefix;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb = add_verb(app, context, "__complete", "Names that begin so, for completion.",
                            {"brindle __complete volume d"}, [given, &context] {
                              try {
                                Client client = context.client();
                                client.set_patience(patience);
                                for (const auto& name : find_names(client, given->what, given->prefix))
                                  context.say(name);
                              } catch (const std::exception&) {
                                // A completion that cannot be had must not write over what is being typed.
                              }
                            });
  verb->group("");  // hidden
  add_argument(*verb, "KIND", given->what, kind::fresh, "volume, volume@, snapshot or any");
  add_argument(*verb, "PREFIX", given->prefix, kind::fresh, "how the names begin")->required(false);
}

}  // namespace brindle::cli
