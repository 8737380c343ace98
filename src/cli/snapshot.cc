// `brindle snapshot`: frozen images of volumes; several volumes at one instant.
#include <memory>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/delete.h"
#include "cli/labels.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

void add_create(CLI::App& group, Context& context) {
  struct Given {
    std::vector<std::string> names, labels;
    bool if_not_exists = false;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb =
      add_verb(group, context, "create", "Takes snapshots; several are one instant, all or none.",
               {"brindle snapshot create db@monday", "brindle snapshot create db@v2 web@v2 --label release=v2"},
               [given, &context] {
                 check_each(given->names, check_snapshot);
                 Json body{{"names", given->names}};
                 if (!given->labels.empty()) body["labels"] = parse_labels(given->labels);
                 if (given->if_not_exists) body["if_not_exists"] = true;
                 const Json snapshots = context.client().post("/v1/snapshots", body);
                 context.document(snapshots);
                 for (const auto& snapshot : snapshots) {
                   context.say(fmt::format("{}: a snapshot of {}", text_at(snapshot, "name"),
                                           shown_time(text_at(snapshot, "created"))));
                 }
               });
  add_arguments(*verb, "VOLUME@SNAP", given->names, kind::of_volume, "the volume, @, and the snapshot's name");
  add_labels(*verb, given->labels, "a label to give each of them (repeatable)");
  verb->add_flag("--if-not-exists", given->if_not_exists, "pass over snapshots that are there already");
}

void add_list(CLI::App& group, Context& context) {
  struct Given {
    std::string volume;
    ListOptions list;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb = add_verb(group, context, "list", "Lists the snapshots, of all volumes or of one.",
                            {"brindle snapshot list", "brindle snapshot list db --sort created --reverse --limit 1"},
                            [given, &context] {
                              Query query = list_query(given->list);
                              if (!given->volume.empty()) {
                                check_volume(given->volume);
                                query.emplace_back("volume", given->volume);
                              }
                              const Json snapshots = context.client().get("/v1/snapshots", query);
                              context.document(snapshots);
                              context.print(snapshot_table(snapshots));
                            });
  add_argument(*verb, "VOLUME", given->volume, kind::volume, "only this volume's")->required(false);
  add_list_options(*verb, given->list);
}

void add_show(CLI::App& group, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App* verb = add_verb(group, context, "show", "Shows one snapshot, and counts what it holds.",
                            {"brindle snapshot show db@monday"}, [name, &context] {
                              check_snapshot(*name);
                              const Json snapshot = context.client().get(path_of(*name), {{"measure", "true"}});
                              context.document(snapshot);
                              context.print(details(snapshot));
                            });
  add_argument(*verb, "VOLUME@SNAP", *name, kind::snapshot, "the snapshot");
}

void add_rename(CLI::App& group, Context& context) {
  struct Given {
    std::string from, to;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb = add_verb(group, context, "rename", "Renames a snapshot; it stays with its volume.",
                            {"brindle snapshot rename db@monday before-upgrade"}, [given, &context] {
                              check_snapshot(given->from);
                              check_any(given->to);
                              const Json snapshot = context.client().patch(path_of(given->from), {{"name", given->to}});
                              context.document(snapshot);
                              context.say(fmt::format("{} is {} now", given->from, text_at(snapshot, "name")));
                            });
  add_argument(*verb, "VOLUME@SNAP", given->from, kind::snapshot, "the snapshot");
  add_argument(*verb, "NEW", given->to, kind::fresh, "its new name: the part behind the @, or the whole");
}

void add_protection(CLI::App& group, Context& context, bool on) {
  auto name = std::make_shared<std::string>();
  const char* verb_name = on ? "protect" : "unprotect";
  CLI::App* verb = add_verb(
      group, context, verb_name, on ? "Keeps a snapshot from being deleted." : "Allows a snapshot to be deleted again.",
      {on ? "brindle snapshot protect db@monday" : "brindle snapshot unprotect db@monday"}, [name, on, &context] {
        check_snapshot(*name);
        const Json snapshot = context.client().patch(path_of(*name), {{"protected", on}});
        context.document(snapshot);
        context.say(fmt::format("{} is {}", *name, on ? "protected now" : "no longer protected"));
      });
  add_argument(*verb, "VOLUME@SNAP", *name, kind::snapshot, "the snapshot");
}

void add_snapshot_delete(CLI::App& group, Context& context) {
  auto given = std::make_shared<DeleteOptions>();
  CLI::App* verb =
      add_verb(group, context, "delete", "Deletes snapshots, in any order, all or none.",
               {"brindle snapshot delete db@monday db@tuesday", "brindle snapshot delete db@monday --dry-run"},
               [given, &context] {
                 check_each(given->names, check_snapshot);
                 run_delete(context, *given);
               });
  add_arguments(*verb, "VOLUME@SNAP", given->names, kind::snapshot, "the snapshots");
  add_delete_options(*verb, *given, /*snapshots_too=*/false);
}

}  // namespace

void add_snapshot(CLI::App& app, Context& context) {
  CLI::App* group =
      add_group(app, "snapshot", "Snapshots: create, list, show, rename, protect, unprotect, label, delete.");
  add_create(*group, context);
  add_list(*group, context);
  add_show(*group, context);
  add_rename(*group, context);
  add_protection(*group, context, true);
  add_protection(*group, context, false);
  add_label_verb(*group, context, "VOLUME@SNAP", kind::snapshot, check_snapshot,
                 "brindle snapshot label db@monday keep=yes reviewed-");
  add_snapshot_delete(*group, context);
}

}  // namespace brindle::cli
