// `brindle tree`: which volumes and snapshots descend from which.
#include "cli/options.h"
#include "cli/tree_drawing.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_tree(CLI::App& app, Context& context) {
  add_verb(app, context, "tree", "Draws the families: which volume or snapshot descends from which, with sizes.",
           {"brindle tree"}, [&context] {
             const Json entries = context.client().get("/v1/tree");
             context.document(entries);
             context.print(draw_families(entries, context.screen.out_utf8));
           });
}

}  // namespace brindle::cli
