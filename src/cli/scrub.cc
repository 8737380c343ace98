// `brindle scrub`: everything read back and compared with its checksums.
#include "cli/damage.h"
#include "cli/job.h"
#include "cli/options.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_scrub(CLI::App& app, Context& context) {
  add_verb(app, context, "scrub",
           "Reads everything back and compares checksums.\n"
           "Exit 0 when nothing is wrong, 1 when damage was found: then a line for each damaged range with every\n"
           "volume and snapshot that holds it.",
           {"brindle scrub"}, [&context] { give_verdict(context, run_job(context, "/v1/scrub", "scrub")); });
}

}  // namespace brindle::cli
