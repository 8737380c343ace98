#include "cli/verbs.h"

#include <memory>

#include "cli/help.h"

namespace brindle::cli {

void add_all(CLI::App& app, Context& context) {
  app.name("brindle");
  app.description("Volumes, snapshots and clones of the brindled that runs here.");
  app.formatter(std::make_shared<Help>());
  app.set_help_flag("--help,-h", "this; for a verb: `brindle VERB --help`");
  app.set_version_flag("--version", "brindle " + std::string(BRINDLE_VERSION));
  app.get_option("--version")->description("the version");
  app.add_option("--state", context.state,
                 "the folder with the daemon's sockets (else BRINDLE_STATE, else ./.brindle or /var/lib/brindle)")
      ->type_name("DIR");
  app.add_flag("--json", context.json, "one JSON document on standard output, and errors as one on standard error");
  app.require_subcommand(1);
  app.fallthrough();  // inherited: the global options may stand behind the verb too

  add_volume(app, context);
  add_snapshot(app, context);
  add_clone(app, context);
  add_rollback(app, context);
  add_delete(app, context);
  add_diff(app, context);
  add_space(app, context);
  add_tree(app, context);
  add_attach(app, context);
  add_detach(app, context);
  add_import(app, context);
  add_export(app, context);
  add_status(app, context);
  add_sync(app, context);
  add_pool(app, context);
  add_check(app, context);
  add_scrub(app, context);
  add_tidy(app, context);
  add_completion(app, context);
  add_complete(app, context);

  app.footer(
      "Begin with:\n  brindle volume create db --size 10G\n  brindle snapshot create db@first\n  brindle clone "
      "db@first dev\n  brindle tree");
}

}  // namespace brindle::cli
