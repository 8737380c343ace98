// `brindle attach` and `brindle detach`: volumes as block devices of this machine.
#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/attached.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "serve/attach/attach.h"
#include "serve/attach/file_system.h"
#include "serve/attach/nbd_keeper.h"
#include "serve/attach/server.h"
#include "serve/attach/spawn.h"

namespace brindle::cli {

namespace {

using attach::Attachment;

constexpr const char* nbd_socket_name = "nbd.sock";
constexpr std::chrono::milliseconds quick_patience{1000};    // for names to show, which are nice to have
constexpr std::chrono::milliseconds server_patience{5000};   // a list of a hundred thousand takes a second

bool is_snapshot(const std::string& name) { return name.find('@') != std::string::npos; }

/// By uuid, in case it was renamed. Throws Failure; not_found where the daemon has no such thing.
attach::Whereabouts find_now(const Client& client, const std::string& uuid, const std::string& last_name) {
  const auto here = [](const Json& entry) {
    return attach::Whereabouts{entry.at("name").get<std::string>(), entry.at("size").get<u64>()};
  };
  try {
    const Json entry = client.get(path_of(last_name));
    if (entry.at("uuid") == uuid) return here(entry);
  } catch (const Failure& failure) {
    if (failure.code() != code_name(Code::not_found)) throw;
  }
  for (const Json& entry : client.get(is_snapshot(last_name) ? "/v1/snapshots" : "/v1/volumes")) {
    if (entry.at("uuid") == uuid) return here(entry);
  }
  refuse(Code::not_found, fmt::format("{} is not in the pool any more", last_name));
}

Json to_json(const Attachment& attachment) {
  return {{"name", attachment.name},
          {"uuid", attachment.uuid},
          {"device", attachment.device},
          {"driver", attachment.driver},
          {"mount", attachment.mounts.empty() ? Json(nullptr) : Json(attachment.mounts.front())},
          {"read_only", attachment.read_only},
          {"size", attachment.size},
          {"pid", attachment.pid == 0 ? Json(nullptr) : Json(attachment.pid)},
          {"connected", attachment.connected}};
}

/// With the names that the daemon has for them now, if it is there.
std::vector<Attachment> attachments(const Context& context) {
  auto found = attach::list(attach::attach_folder(context.state_dir()));
  Client client = context.client();
  client.set_patience(quick_patience);
  try {
    for (auto& attachment : found) {
      try {
        attachment.name = find_now(client, attachment.uuid, attachment.name).name;
      } catch (const Failure& failure) {
        if (failure.exit() == Exit::no_daemon) break;
      }
    }
  } catch (const Json::exception&) {
    // A daemon that talks otherwise: the names of before are good enough.
  }
  std::sort(found.begin(), found.end(), [](const Attachment& a, const Attachment& b) { return a.name < b.name; });
  return found;
}

void show_attachments(Context& context) {
  const auto found = attachments(context);
  Json document = Json::array();
  Table table({{"NAME"}, {"DEVICE"}, {"DRIVER"}, {"SIZE", Align::right}, {"MODE"}, {"MOUNT"}, {"PID", Align::right}, {"STATE"}});
  for (const auto& attachment : found) {
    document.push_back(to_json(attachment));
    const char* dead = attachment.driver == "nbd" ? "its process is dead: attach it again" : "dead: detach it";
    const char* state = attachment.pid == 0 ? dead : attachment.connected ? "" : "waits for the daemon";
    table.add({attachment.name, attachment.device, attachment.driver, format_size(attachment.size), attachment.read_only ? "ro" : "rw",
               attachment.mounts.empty() ? "" : attachment.mounts.front(),
               attachment.pid == 0 ? "" : std::to_string(attachment.pid), state});
  }
  context.document(document);
  if (table.empty()) {
    context.say("nothing is attached");
  } else {
    context.print(table.text());
  }
}

struct AttachOptions {
  std::string name, mount, mkfs, driver;
  bool force = false, refresh = false;
};

void run_attach(Context& context, const AttachOptions& given) {
  if (!given.mkfs.empty() && is_snapshot(given.name)) {
    refuse(Code::read_only, "a snapshot cannot get a file system: clone it, and attach the clone");
  }
  must(attach::attach_check());
  const bool looks = !given.mkfs.empty() && !given.force;
  const Json entry = context.client().get(path_of(given.name), looks ? Query{{"measure", "true"}} : Query{});
  const std::string state = std::filesystem::absolute(context.state_dir()).lexically_normal().string();
  attach::AttachRequest request;
  request.folder = attach::attach_folder(state);
  request.name = given.name;
  request.uuid = entry.at("uuid");
  request.snapshot = is_snapshot(given.name);
  request.driver = given.driver;
  if (!given.mount.empty()) request.mount = std::filesystem::absolute(given.mount).lexically_normal().string();
  request.mkfs = given.mkfs;
  if (looks) request.holds = entry.at("referenced");
  request.force = given.force;
  request.server = {"brindle", "--state", state, "serve-attachment", "--uuid", request.uuid, given.name};
  if (request.snapshot) request.server.emplace_back("--read-only");
  auto attached = attach::attach(request);
  if (!attached) refuse(attached.code(), fmt::format("{}: {}", given.name, attached.error().message));
  context.document(to_json(*attached));
  context.say(attached->device);
}

/// The attachment that is meant by a name, a device or a folder.
const Attachment* meant(const std::vector<Attachment>& all, const std::string& what) {
  std::error_code error;
  const std::string path = std::filesystem::weakly_canonical(what, error).string();
  for (const auto& attachment : all) {
    const bool mounted_there = std::find(attachment.mounts.begin(), attachment.mounts.end(), path) != attachment.mounts.end();
    if (attachment.name == what || attachment.device == what || mounted_there) return &attachment;
  }
  return nullptr;
}

[[noreturn]] void refuse_unattached(const std::string& name) {
  refuse(Code::not_found, fmt::format("{} is not attached: `brindle attach` lists what is", name));
}

void run_refresh(Context& context, const std::string& name) {
  must(attach::attach_check());
  const auto all = attachments(context);
  const Attachment* found = meant(all, name);
  if (found == nullptr) refuse_unattached(name);
  const auto now = find_now(context.client(), found->uuid, found->name);
  must(attach::refresh(*found, now.size));
  Attachment fresh = *found;
  fresh.size = now.size;
  context.document(to_json(fresh));
  context.say(fmt::format("{} has {} now", found->device, format_size(now.size)));
}

struct DetachOptions {
  std::string name;
  bool all = false, force = false;
};

void run_detach(Context& context, const DetachOptions& given) {
  if (given.all == !given.name.empty()) {
    throw Failure(Exit::usage, "usage", "give either NAME or --all: `brindle attach` lists what is attached");
  }
  must(attach::attach_check());
  const auto all = attachments(context);
  std::vector<const Attachment*> chosen;
  if (given.all) {
    for (const auto& attachment : all) chosen.push_back(&attachment);
  } else {
    chosen.push_back(meant(all, given.name));
    if (chosen.front() == nullptr) refuse_unattached(given.name);
  }
  // With --all the others go even if one cannot; then all that stays is told.
  std::string failed;
  std::string code;
  Json detached = Json::array();
  for (const Attachment* attachment : chosen) {
    auto status = attach::detach(*attachment, given.force);
    if (status) {
      detached.push_back(attachment->name);
      context.say(fmt::format("{}: detached", attachment->name));
    } else {
      if (code.empty()) code = code_name(status.code());
      failed += fmt::format("{}{}: {}", failed.empty() ? "" : "; ", attachment->name, status.error().message);
    }
  }
  if (!failed.empty()) throw Failure(Exit::refused, code, failed);
  if (chosen.empty()) context.say("nothing is attached");
  context.document({{"detached", detached}});
}

struct ServeOptions {
  std::string uuid, name, driver;
  bool read_only = false, overlay = false;
  int ready_fd = -1;
};

void run_serve(Context& context, const ServeOptions& given) {
  Client client = context.client();
  client.set_patience(server_patience);
  const attach::FindVolume find = [&client](const std::string& uuid, const std::string& last_name) -> Result<attach::Whereabouts> {
    try {
      return find_now(client, uuid, last_name);
    } catch (const Failure& failure) {
      const bool gone = failure.code() == code_name(Code::not_found);
      return Error{gone ? Code::not_found : Code::stopping, failure.message()};
    } catch (const Json::exception&) {
      return Error{Code::stopping, "the daemon's answer makes no sense"};
    }
  };
  const std::string state = context.state_dir();
  const attach::ServeOptions options{attach::Place(attach::attach_folder(state), given.uuid), given.name, given.name,
                                   fmt::format("{}/{}", state, nbd_socket_name), given.read_only, given.overlay};
  const auto ready = [&given](const Status& how) { attach::tell_starter(given.ready_fd, how); };
  const int status = given.driver == "nbd" ? attach::keep_nbd(options, find, ready) : attach::serve(options, find, ready);
  if (status != 0) context.end_with(Exit::refused);
}

void add_serve(CLI::App& app, Context& context) {
  auto given = std::make_shared<ServeOptions>();
  CLI::App* verb = add_verb(app, context, "serve-attachment", "The process behind an attachment; attach starts it.",
                            {"brindle attach db"}, [given, &context] { run_serve(context, *given); });
  verb->group("");  // not for people
  verb->add_option("--uuid", given->uuid)->required();
  verb->add_flag("--read-only", given->read_only);
  verb->add_flag("--overlay", given->overlay);
  verb->add_option("--driver", given->driver);
  verb->add_option("--ready-fd", given->ready_fd)->required();
  verb->add_option("NAME", given->name)->required();
}

}  // namespace

void let_device_follow(Context& context, const Json& volume) {
  const std::string uuid = text_at(volume, "uuid");
  const std::string name = text_at(volume, "name");
  for (const Attachment& attachment : attach::list(attach::attach_folder(context.state_dir()))) {
    if (attachment.uuid != uuid) continue;
    Status followed = attach::attach_check();
    if (followed) followed = attach::refresh(attachment, volume.at("size").get<u64>());
    if (followed) {
      context.say(fmt::format("{} has it too", attachment.device));
    } else {
      context.say(fmt::format("{} has not followed: {}: `brindle attach {} --refresh` tries again", attachment.device,
                              followed.error().message, name));
    }
  }
}

void add_attach(CLI::App& app, Context& context) {
  auto given = std::make_shared<AttachOptions>();
  CLI::App* verb = add_verb(
      app, context, "attach",
      "Makes a volume a block device of this machine, and prints its path; mounts it where told. A snapshot is\n"
      "attached and mounted read-only. While the daemon restarts, I/O waits and then goes on. With no name: lists\n"
      "what is attached. Needs root.",
      {"brindle attach db --mkfs ext4 --mount /mnt/db", "brindle attach db@monday --mount /mnt/monday", "brindle attach"},
      [given, &context] {
        if (given->name.empty()) {
          if (!given->mount.empty() || !given->mkfs.empty() || !given->driver.empty() || given->refresh || given->force) {
            throw Failure(Exit::usage, "usage", "give the NAME of a volume or snapshot: `brindle volume list` shows them");
          }
          return show_attachments(context);
        }
        if (given->refresh) return run_refresh(context, given->name);
        check_any(given->name);
        run_attach(context, *given);
      });
  add_argument(*verb, "NAME", given->name, kind::any, "the volume, or VOLUME@SNAP")->required(false);
  verb->add_option("--mount", given->mount, "mount its file system there; the folder is made where it is missing")->type_name("DIR");
  verb->add_option("--mkfs", given->mkfs, "make a file system first; refused where the volume holds something already")
      ->type_name("ext4|xfs|btrfs")
      ->check(CLI::IsMember({"ext4", "xfs", "btrfs"}));
  verb->add_option("--driver", given->driver,
                   "what makes the device; otherwise nbd where the kernel has it, but loop for snapshots to be mounted")
      ->type_name("nbd|loop")
      ->check(CLI::IsMember({"nbd", "loop"}));
  add_force(*verb, given->force, "with --mkfs: over whatever the volume holds");
  verb->add_flag("--refresh", given->refresh,
                 "let the device of an attached volume follow a resize that was made elsewhere");
  add_serve(app, context);
}

void add_detach(CLI::App& app, Context& context) {
  auto given = std::make_shared<DetachOptions>();
  CLI::App* verb = add_verb(app, context, "detach",
                            "Unmounts an attached volume and removes its device; all that was written is flushed. Refused while\n"
                            "somebody uses it. Needs root.",
                            {"brindle detach db", "brindle detach --all"},
                            [given, &context] { run_detach(context, *given); });
  add_argument(*verb, "NAME", given->name, kind::any, "the volume or snapshot; or its device, or where it is mounted")->required(false);
  verb->add_flag("--all", given->all, "everything that is attached");
  add_force(*verb, given->force, "take it away from who uses it, and give up what could not be flushed");
}

}  // namespace brindle::cli
