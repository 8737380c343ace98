// `brindle check`: the verifier's own walk over a pool.
#include "cli/damage.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_check(CLI::App& app, Context& context) {
  add_verb(app, context, "check",
           "Verifies the pool with a walk of its own, also while it is in use.\n"
           "Exit 0 when nothing is wrong, 1 when damage was found: then a line for each damaged range with every\n"
           "volume and snapshot that holds it.",
           {"brindle check"}, [&context] { give_verdict(context, run_job(context, "/v1/check", "check")); });
}

}  // namespace brindle::cli
