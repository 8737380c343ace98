#include "cli/delete.h"

#include <memory>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/show.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

/// A long list helps nobody: how many, then.
std::string named(const std::vector<std::string>& names) {
  constexpr size_t named_max = 8;
  return names.size() <= named_max ? enumerated(names) : fmt::format("{} volumes and snapshots", names.size());
}

}  // namespace

void add_delete_options(CLI::App& verb, DeleteOptions& options, bool snapshots_too) {
  if (snapshots_too)
    verb.add_flag("--with-snapshots", options.with_snapshots, "the snapshots of the named volumes too");
  verb.add_flag("--dry-run", options.dry_run, "delete nothing; tell exactly how many bytes it would free");
  add_force(verb, options.force, "even while clients have it open; they get errors from then on");
  verb.add_flag("--if-exists", options.if_exists, "pass over names that do not exist");
  add_wait(verb, options.wait);
}

void run_delete(Context& context, const DeleteOptions& options) {
  Json body{{"names", options.names}};
  if (options.with_snapshots) body["with_snapshots"] = true;
  if (options.force) body["force"] = true;
  if (options.if_exists) body["if_exists"] = true;
  if (options.dry_run) body["dry_run"] = true;
  if (options.wait && !options.dry_run) body["wait"] = true;
  const Json answer = context.client().post("/v1/delete", body);
  context.document(answer);
  const auto names = answer.at(options.dry_run ? "names" : "deleted").get<std::vector<std::string>>();
  if (names.empty()) {
    context.say("nothing to delete");
  } else if (options.dry_run) {
    const u64 bytes = answer.at("frees").get<u64>();
    context.say(fmt::format("deleting {} would free {} bytes{}", named(names), bytes,
                            bytes < KiB ? "" : fmt::format(" ({})", format_size(bytes))));
  } else {
    context.say(fmt::format("deleted {}", named(names)));
  }
}

void add_delete(CLI::App& app, Context& context) {
  auto given = std::make_shared<DeleteOptions>();
  CLI::App* verb = add_verb(
      app, context, "delete", "Deletes volumes and snapshots, all or none, or tells what that would free.",
      {"brindle delete --dry-run db@monday db@tuesday", "brindle delete db@monday web --wait"}, [given, &context] {
        check_each(given->names, check_any);
        run_delete(context, *given);
      });
  add_arguments(*verb, "NAME", given->names, kind::any, "volumes and snapshots, mixed");
  add_delete_options(*verb, *given);
}

}  // namespace brindle::cli
