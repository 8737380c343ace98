// `brindle diff`: where two related volumes or snapshots differ, by their maps.
#include <memory>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_diff(CLI::App& app, Context& context) {
  struct Given {
    std::string from, to;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb = add_verb(
      app, context, "diff",
      "Lists the ranges of B that differ from A.\n"
      "Kind `data` holds other data, `zero` is a hole now. It compares maps, not data, so A and B must be related.",
      {"brindle diff db@monday db", "brindle diff db@monday db@tuesday --json"}, [given, &context] {
        check_any(given->from);
        check_any(given->to);
        const Json ranges = context.client().get("/v1/diff", {{"from", given->from}, {"to", given->to}});
        context.document(ranges);
        if (ranges.empty()) {
          context.say(fmt::format("{} and {} hold the same", given->from, given->to));
          return;
        }
        Table table({{"OFFSET", Align::right}, {"LENGTH", Align::right}, {"KIND"}});
        u64 total = 0;
        for (const auto& range : ranges) {
          const u64 length = range.at("length").get<u64>();
          total += length;
          table.add({std::to_string(range.at("offset").get<u64>()), std::to_string(length), text_at(range, "kind")});
        }
        context.print(table.text());
        context.say(fmt::format("{} in {}", format_size(total), counted(ranges.size(), "range")));
      });
  add_argument(*verb, "A", given->from, kind::any, "a volume or snapshot, the older side");
  add_argument(*verb, "B", given->to, kind::any, "a relative of it, the newer side");
}

}  // namespace brindle::cli
