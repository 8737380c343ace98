// delete.h: what `delete`, `volume delete` and `snapshot delete` have in common.
#pragma once

#include "cli/options.h"

namespace brindle::cli {

struct DeleteOptions {
  std::vector<std::string> names;
  bool with_snapshots = false;
  bool dry_run = false;
  bool force = false;
  bool if_exists = false;
  bool wait = false;
};

/// The options, without the names; `snapshots_too`: with --with-snapshots.
void add_delete_options(CLI::App& verb, DeleteOptions& options, bool snapshots_too = true);

/// Deletes, or tells what deleting would free. The names were checked.
void run_delete(Context& context, const DeleteOptions& options);

}  // namespace brindle::cli
