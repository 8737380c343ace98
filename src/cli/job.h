// job.h: long work that the daemon does while the command line looks on.
#pragma once

#include <string>

#include "cli/context.h"

namespace brindle::cli {

/// Starts the job at `path` ("/v1/scrub") with `body`, shows its progress until it has ended, and returns it as it then is.
/// On Ctrl-C it ends the job before it throws Failure interrupted. Refuses with `busy` where one runs already.
Json run_job(Context& context, const std::string& path, const std::string& verb, const Json& body = Json::object());

}  // namespace brindle::cli
