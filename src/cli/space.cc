// `brindle space`: what volumes and snapshots take.
#include <algorithm>
#include <memory>

#include "cli/options.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

/// The daemon takes 16 KiB of headers; so many names of 257 bytes fit with room to spare.
constexpr size_t names_at_once = 50;

Json count(const Client& client, const std::vector<std::string>& names) {
  if (names.empty()) return client.get("/v1/space");
  Json entries = Json::array();
  for (size_t begin = 0; begin < names.size(); begin += names_at_once) {
    Query query;
    for (size_t i = begin; i < std::min(begin + names_at_once, names.size()); ++i) query.emplace_back("name", names[i]);
    for (auto& entry : client.get("/v1/space", query)) entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

void add_space(CLI::App& app, Context& context) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = add_verb(
      app, context, "space",
      "Counts what volumes and snapshots take.\n"
      "SIZE is what a client sees, REFERENCED the data it can reach, EXCLUSIVE what deleting it alone would free.",
      {"brindle space", "brindle space db db@monday"}, [names, &context] {
        check_each(*names, check_any);
        const Json entries = count(context.client(), *names);
        context.document(entries);
        Table table({{"NAME"}, {"SIZE", Align::right}, {"REFERENCED", Align::right}, {"EXCLUSIVE", Align::right}});
        for (const auto& entry : entries) {
          table.add({text_at(entry, "name"), shown_size(entry.at("size")), shown_size(entry.at("referenced")),
                     shown_size(entry.at("exclusive"))});
        }
        if (!table.empty()) context.print(table.text());
      });
  add_arguments(*verb, "NAME", *names, kind::any, "volumes and snapshots; all of them when none is named")
      ->required(false);
}

}  // namespace brindle::cli
