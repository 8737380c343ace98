// `brindle check`: the verifier's own walk over a pool, in the daemon or over a pool that no daemon has open.
#include <memory>

#include "check/offline.h"
#include "cli/damage.h"
#include "cli/interrupt.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

/// Looks like the daemon's job, so that both end in the same words.
Json check_files(const Context& context, const std::vector<std::string>& paths) {
  Progress progress("check", context.screen.err_tty);
  auto report = verify_files(paths, {}, [&progress](u64 done, u64 total) {
    progress.show(done, total);
    return !interrupted();
  });
  check_interrupt();
  if (!report) refuse(report.error());
  Json damage = Json::array();
  for (const auto& found : report->damage) {
    damage.push_back({{"volume", found.volume},
                      {"offset", found.offset},
                      {"length", found.length},
                      {"kind", found.kind},
                      {"note", found.note}});
  }
  return {{"done", report->bytes}, {"damage", damage}, {"staged", report->staged}};
}

}  // namespace

void add_check(CLI::App& app, Context& context) {
  auto paths = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = add_verb(
      app, context, "check",
      "Verifies the pool with a walk of its own, also while it is in use.\n"
      "Exit 0 when nothing is wrong, 1 when damage was found: then a line for each damaged range with every\n"
      "volume and snapshot that holds it.",
      {"brindle check", "brindle check --offline .brindle/pool", "brindle check --offline /dev/sdb /dev/sdc"},
      [paths, &context] {
        give_verdict(context, paths->empty() ? run_job(context, "/v1/check", "check") : check_files(context, *paths));
      });
  verb->add_option("--offline", *paths,
                   "a pool file or device that no daemon has open, or all those of one pool; they are only read")
      ->type_name("PATH")
      ->check([](const std::string& text) { return text.empty() ? std::string("the path is empty") : std::string(); },
              "");
}

}  // namespace brindle::cli
