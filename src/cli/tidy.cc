// `brindle tidy`: what lies scattered is written once more, in order.
#include <memory>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_tidy(CLI::App& app, Context& context) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = add_verb(
      app, context, "tidy",
      "Writes what was written at random once more, in order, so that reading it through is fast again.\n"
      "What a snapshot holds as well stays where it is, since another copy would take space. Volumes stay in use\n"
      "meanwhile. It may be ended at any time: what was put in order by then stays so.",
      {"brindle tidy", "brindle tidy db"}, [names, &context] {
        check_each(*names, check_volume);
        const Json job = run_job(context, "/v1/tidy", "tidy", {{"volumes", *names}});
        const u64 read = job.value("done", u64{0});
        const u64 rewritten = job.value("rewritten", u64{0});
        const u64 shared = job.value("shared", u64{0});
        context.document({{"read", read}, {"rewritten", rewritten}, {"shared", shared}});
        context.say(fmt::format("{} written again, in order{}", format_size(rewritten),
                                shared > 0 ? fmt::format("; {} are scattered and stay so, since snapshots hold them", format_size(shared)) : ""));
      });
  add_arguments(*verb, "VOLUME", *names, kind::volume, "volumes; all of them when none is named")->required(false);
}

}  // namespace brindle::cli
