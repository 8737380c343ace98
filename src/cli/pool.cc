// `brindle pool`: the pool itself.
#include <memory>

#include <fmt/format.h>

#include "cli/options.h"
#include "cli/show.h"
#include "cli/status.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace brindle::cli {

void add_pool(CLI::App& app, Context& context) {
  CLI::App* group = add_group(app, "pool", "The pool: show, grow.");
  add_verb(*group, context, "show", "Shows where the pool is and what room it has.", {"brindle pool show"}, [&context] {
    const Json pool = context.client().get("/v1/pool");
    context.document(pool);
    context.print(key_values(pool_lines(pool)));
  });
  auto size = std::make_shared<std::string>();
  CLI::App* grow = add_verb(*group, context, "grow", "Raises the size that the pool may grow to.",
                            {"brindle pool grow 200G"}, [size, &context] {
                              const Json pool = context.client().post("/v1/pool/grow", {{"size", checked_size(*size)}});
                              context.document(pool);
                              context.say(fmt::format("the pool may grow to {}, {} of it free",
                                                      shown_size(pool.at("size")), shown_size(pool.at("free"))));
                            });
  add_argument(*grow, "SIZE", *size, kind::fresh, "the new size: bytes, or with K, M, G or T; a multiple of 4096");
}

}  // namespace brindle::cli
