// verbs.h: every verb or group of verbs, each written in the file of its name.
//
// A new one is a file with an add_xxx() here and a line in verbs.cc.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/context.h"

namespace brindle::cli {

void add_volume(CLI::App& app, Context& context);
void add_snapshot(CLI::App& app, Context& context);
void add_clone(CLI::App& app, Context& context);
void add_rollback(CLI::App& app, Context& context);
void add_delete(CLI::App& app, Context& context);
void add_diff(CLI::App& app, Context& context);
void add_space(CLI::App& app, Context& context);
void add_tree(CLI::App& app, Context& context);
void add_attach(CLI::App& app, Context& context);
void add_detach(CLI::App& app, Context& context);
void add_import(CLI::App& app, Context& context);
void add_export(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);
void add_sync(CLI::App& app, Context& context);
void add_pool(CLI::App& app, Context& context);
void add_check(CLI::App& app, Context& context);
void add_tidy(CLI::App& app, Context& context);
void add_scrub(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);
void add_complete(CLI::App& app, Context& context);

/// All of them, in the order in which help lists them, and the global options.
void add_all(CLI::App& app, Context& context);

}  // namespace brindle::cli
