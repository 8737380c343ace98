// usage.h: what CLI11 finds wrong with a command line, as one line that says what to type.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/failure.h"

namespace brindle::cli {

/// "volume create": the verbs that were understood, "" when none was.
std::string verb_path(const CLI::App& app);

/// CLI11's error about `app` as a Failure with exit code 2.
Failure usage_failure(const CLI::App& app, const CLI::ParseError& error);

}  // namespace brindle::cli
