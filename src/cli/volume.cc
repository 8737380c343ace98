// `brindle volume`: volumes, one at a time.
#include <memory>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/attached.h"
#include "cli/delete.h"
#include "cli/labels.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

void add_create(CLI::App& group, Context& context) {
  struct Given {
    std::string name, size;
    std::vector<std::string> labels;
    bool if_not_exists = false;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb =
      add_verb(group, context, "create", "Makes a volume that reads as zeroes and takes no space yet.",
               {"brindle volume create db --size 10G", "brindle volume create db --size 10G --label env=test"},
               [given, &context] {
                 check_volume(given->name);
                 Json body{{"name", given->name}, {"size", checked_size(given->size)}};
                 if (!given->labels.empty()) body["labels"] = parse_labels(given->labels);
                 if (given->if_not_exists) body["if_not_exists"] = true;
                 const Json volume = context.client().post("/v1/volumes", body);
                 context.document(volume);
                 context.say(fmt::format("{}: a volume of {}", given->name, shown_size(volume.at("size"))));
               });
  add_argument(*verb, "NAME", given->name, kind::fresh, "the volume's name: 1 to 128 of A-Z a-z 0-9 . _ -");
  verb->add_option("--size", given->size, "bytes, or with K, M, G or T; a multiple of 4096, at most 1024T")
      ->required()
      ->type_name("SIZE");
  add_labels(*verb, given->labels, "a label to give it (repeatable)");
  verb->add_flag("--if-not-exists", given->if_not_exists, "succeed when there is a volume of that name already");
}

void add_list(CLI::App& group, Context& context) {
  auto given = std::make_shared<ListOptions>();
  CLI::App* verb =
      add_verb(group, context, "list", "Lists the volumes.",
               {"brindle volume list", "brindle volume list --label env=test --sort created --reverse --limit 10"},
               [given, &context] {
                 const Json volumes = context.client().get("/v1/volumes", list_query(*given));
                 context.document(volumes);
                 context.print(volume_table(volumes));
               });
  add_list_options(*verb, *given);
}

void add_show(CLI::App& group, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App* verb = add_verb(group, context, "show", "Shows one volume, and counts what it holds.",
                            {"brindle volume show db"}, [name, &context] {
                              check_volume(*name);
                              const Json volume = context.client().get(path_of(*name), {{"measure", "true"}});
                              context.document(volume);
                              context.print(details(volume));
                            });
  add_argument(*verb, "NAME", *name, kind::volume, "the volume");
}

void add_resize(CLI::App& group, Context& context) {
  struct Given {
    std::string name, size;
    bool force = false, wait = false;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb =
      add_verb(group, context, "resize",
               "Changes a volume's size, also while it is in use; where it is attached here, its device follows.",
               {"brindle volume resize db 20G", "brindle volume resize db 5G --force"}, [given, &context] {
                 check_volume(given->name);
                 Json body{{"size", checked_size(given->size)}};
                 if (given->force) body["force"] = true;
                 const Json volume = context.client().patch(path_of(given->name), body);
                 context.document(volume);
                 context.say(fmt::format("{} has {} now", given->name, shown_size(volume.at("size"))));
                 let_device_follow(context, volume);
                 if (given->wait) context.client().post("/v1/sync");
               });
  add_argument(*verb, "NAME", given->name, kind::volume, "the volume");
  add_argument(*verb, "SIZE", given->size, kind::fresh,
               "the new size: bytes, or with K, M, G or T; a multiple of 4096");
  add_force(*verb, given->force, "shrink it, though what lies beyond the new end is lost and clients may have it open");
  add_wait(*verb, given->wait);
}

void add_rename(CLI::App& group, Context& context) {
  struct Given {
    std::string from, to;
  };
  auto given = std::make_shared<Given>();
  CLI::App* verb =
      add_verb(group, context, "rename", "Renames a volume and with it its snapshots; who is connected stays so.",
               {"brindle volume rename db db-old"}, [given, &context] {
                 check_volume(given->from);
                 check_volume(given->to);
                 const Json volume = context.client().patch(path_of(given->from), {{"name", given->to}});
                 context.document(volume);
                 context.say(fmt::format("{} is {} now", given->from, given->to));
               });
  add_argument(*verb, "OLD", given->from, kind::volume, "the volume");
  add_argument(*verb, "NEW", given->to, kind::fresh, "its new name");
}

void add_volume_delete(CLI::App& group, Context& context) {
  auto given = std::make_shared<DeleteOptions>();
  CLI::App* verb =
      add_verb(group, context, "delete", "Deletes volumes, all or none; their snapshots stay unless asked.",
               {"brindle volume delete db", "brindle volume delete db web --with-snapshots --wait",
                "brindle volume delete db --dry-run"},
               [given, &context] {
                 check_each(given->names, check_volume);
                 run_delete(context, *given);
               });
  add_arguments(*verb, "NAME", given->names, kind::volume, "the volumes");
  add_delete_options(*verb, *given);
}

}  // namespace

void add_volume(CLI::App& app, Context& context) {
  CLI::App* group = add_group(app, "volume", "Volumes: create, list, show, resize, rename, label, delete.");
  add_create(*group, context);
  add_list(*group, context);
  add_show(*group, context);
  add_resize(*group, context);
  add_rename(*group, context);
  add_label_verb(*group, context, "NAME", kind::volume, check_volume, "brindle volume label db env=prod owner-");
  add_volume_delete(*group, context);
}

}  // namespace brindle::cli
