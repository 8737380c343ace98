// `brindle import` and `brindle export`: disk images in files, by qemu-img over the daemon's NBD socket.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/names.h"
#include "base/run_program.h"
#include "cli/http.h"
#include "cli/interrupt.h"
#include "cli/labels.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* requests_at_once = "16";

[[noreturn]] void refuse_file(Code code, const std::string& file, const std::string& why) {
  refuse(code, fmt::format("{}: {}", file, why));
}

void need_qemu_img() {
  if (!program_installed("qemu-img")) {
    refuse(Code::unsupported, "qemu-img, which reads and writes images, is not installed: apt-get install qemu-utils");
  }
}

/// The export as qemu-img names it. A colon or a comma in the state folder's path must not be taken for something else.
std::string nbd_uri(const Context& context, const std::string& name) {
  const std::string socket = fs::absolute(context.state_dir()).lexically_normal().string() + "/nbd.sock";
  return fmt::format("nbd+unix:///{}?socket={}", url_encode(name), url_encode(socket));
}

/// Runs qemu-img convert with its progress on our line.
Status convert(const Context& context, const std::string& verb, std::vector<std::string> words, u64 total) {
  words.insert(words.begin(), {"qemu-img", "convert", "-p", "-W", "-m", requests_at_once});
  Progress progress(verb, context.screen.err_tty && !context.json);
  std::string said;
  const auto look = [&](std::string_view text) {
    said += text;
    // It writes "    (12.34/100%)" and a carriage return, again and again.
    const size_t close = said.rfind("/100%)");
    const size_t open = close == std::string::npos ? close : said.rfind('(', close);
    if (open == std::string::npos) return;
    const double percent = std::strtod(said.c_str() + open + 1, nullptr);
    said.erase(0, close + 6);
    progress.show(static_cast<u64>(static_cast<double>(total) * percent / 100), total);
  };
  auto status = run_program(words, look, [] { return interrupted(); });
  if (status || status.code() != Code::io) return status;
  std::string why = status.error().message;
  constexpr std::string_view own_name = "qemu-img: ";
  if (why.starts_with(own_name)) why.erase(0, own_name.size());
  const bool full = why.find(std::strerror(ENOSPC)) != std::string::npos;
  return Error{full ? Code::no_space : Code::io, why};
}

[[noreturn]] void refuse_conversion(const Status& status, const std::string& what, const char* when_full) {
  if (status.code() == Code::cancelled) check_interrupt();
  if (status.code() == Code::no_space) refuse(Code::no_space, fmt::format("{}: {}", what, when_full));
  refuse(status.code(), fmt::format("{}: {}", what, status.error().message));
}

// --- import

struct Image {
  std::string format;
  u64 size = 0;  // bytes that its disk has
};

struct ImportOptions {
  std::string file, name, format;
  std::vector<std::string> labels;
  bool pad = false;
};

/// What the first bytes say; "raw" where they say nothing.
std::string sniffed_format(const std::string& file, int fd) {
  char head[8] = {};
  const ssize_t n = ::pread(fd, head, sizeof head, 0);
  if (n < 0) refuse_file(Code::io, file, std::strerror(errno));
  const std::string_view start(head, sizeof head);
  if (start.starts_with("QFI\xfb")) return "qcow2";
  for (const auto& [magic, other] : {std::pair("KDMV", "vmdk"), std::pair("vhdxfile", "vhdx"), std::pair("conectix", "vpc"),
                                     std::pair("QED", "qed")}) {
    if (start.starts_with(magic)) {
      refuse_file(Code::unsupported, file, fmt::format("it is a {} image: make a qcow2 of it first with `qemu-img convert -O qcow2`, "
                                                       "or take it as it is with --format raw", other));
    }
  }
  return "raw";
}

u64 qcow2_size(const std::string& file) {
  std::string said;
  auto status = run_program({"qemu-img", "info", "-f", "qcow2", "--output", "json", file},
                            [&said](std::string_view text) { said += text; });
  if (!status) refuse_file(Code::invalid, file, fmt::format("it is no qcow2 image: {}", status.error().message));
  return Json::parse(said).at("virtual-size").get<u64>();
}

Image look_at(const ImportOptions& given) {
  const Fd fd(::open(given.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) refuse_file(errno == ENOENT ? Code::not_found : Code::io, given.file, std::strerror(errno));
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) refuse_file(Code::io, given.file, std::strerror(errno));
  if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode)) refuse_file(Code::invalid, given.file, "it is neither a file nor a block device");
  const off_t end = ::lseek(fd.get(), 0, SEEK_END);
  if (end < 0) refuse_file(Code::io, given.file, std::strerror(errno));
  if (end == 0) refuse_file(Code::invalid, given.file, "its length is zero, so there is nothing to import: make an empty volume with `brindle volume create`");
  Image image;
  image.format = given.format.empty() ? sniffed_format(given.file, fd.get()) : given.format;
  if (image.format == "raw" && given.format.empty() && fs::path(given.file).extension() == ".qcow2") {
    refuse_file(Code::invalid, given.file, "it is called .qcow2 and is none: give --format raw to take it as it is");
  }
  image.size = image.format == "raw" ? static_cast<u64>(end) : qcow2_size(given.file);
  if (image.size % block_size != 0 && !given.pad) {
    refuse_file(Code::invalid, given.file,
                fmt::format("its size of {} bytes is not a multiple of 4096: add --pad for a volume of {}, zeroes at its end",
                            image.size, round_up(image.size, block_size)));
  }
  image.size = round_up(image.size, block_size);
  must(check_size(image.size));
  return image;
}

/// Lets a clean-up talk to the daemon, though Ctrl-C was pressed; afterwards it counts again.
class Uninterrupted {
 public:
  Uninterrupted() : was_(interrupted()) { forget_interrupt(); }
  Uninterrupted(const Uninterrupted&) = delete;
  Uninterrupted& operator=(const Uninterrupted&) = delete;
  ~Uninterrupted() {
    if (was_) note_interrupt(SIGINT);
  }

 private:
  bool was_;
};

/// For what goes away again. (It is left behind only where this program is killed, and says then where it came from.)
std::string passing_name(const char* what) {
  return fmt::format("{}-{}-{}", what, ::getpid(), Clock::now().time_since_epoch().count() % 1'000'000);
}

void need_free_name(const Client& client, const std::string& name) {
  try {
    client.get(path_of(name));
  } catch (const Failure& failure) {
    if (failure.code() == code_name(Code::not_found)) return;
    throw;
  }
  refuse(Code::exists, fmt::format("there is a volume {} already, or snapshots of a deleted one hold its name: choose another name", name));
}

/// An import that failed leaves no volume behind.
void remove_volume(const Context& context, const std::string& name) {
  const Uninterrupted uninterrupted;
  try {
    // By force: the daemon may not have seen yet that qemu-img is gone.
    context.client().post("/v1/delete", {{"names", {name}}, {"force", true}});
  } catch (const Failure& failure) {
    if (failure.code() == code_name(Code::not_found)) return;
    refuse(Code::io, fmt::format("the import failed, and its volume {} could not be removed ({}): delete it", name, failure.message()));
  }
}

void run_import(Context& context, ImportOptions given) {
  check_volume(given.name);
  need_qemu_img();
  given.file = fs::absolute(given.file).lexically_normal().string();
  const Image image = look_at(given);
  const auto start = Clock::now();
  const Client client = context.client();
  need_free_name(client, given.name);
  const std::string unfinished = passing_name("unfinished-import");
  Json body{{"name", unfinished}, {"size", image.size}};
  if (!given.labels.empty()) body["labels"] = parse_labels(given.labels);
  Json volume;
  try {
    client.post("/v1/volumes", body);
    // writeback: it flushes at the end, which `convert` by itself would leave out.
    auto status = convert(context, "import", {"-n", "--target-is-zero", "-t", "writeback", "-f", image.format, "-O", "raw",
                                              given.file, nbd_uri(context, unfinished)}, image.size);
    if (!status) refuse_conversion(status, given.file, "the pool has not enough room for it: delete something, or `brindle pool grow`");
    volume = client.get(path_of(unfinished), {{"measure", "true"}});
    if (volume.at("size") != image.size) refuse_file(Code::io, given.name, "it changed its size while it was imported: import it again");
    client.patch(path_of(unfinished), {{"name", given.name}});
  } catch (...) {
    remove_volume(context, unfinished);
    throw;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  context.document({{"name", given.name}, {"uuid", volume.at("uuid")}, {"file", given.file}, {"format", image.format},
                    {"bytes", image.size}, {"allocated", volume.at("referenced")}, {"seconds", seconds}});
  context.say(fmt::format("{}: {}, of which {} hold data, in {:.1f} s", given.name, format_size(image.size),
                          shown_size(volume.at("referenced")), seconds));
}

// --- export

struct ExportOptions {
  std::string name, file, format;
  bool force = false;
};

/// Never in the place of something that somebody made meanwhile, if the file system can tell.
bool move_if_free(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  if (::link(from.c_str(), to.c_str()) == 0) return ::unlink(from.c_str()) == 0;
  if (errno == EEXIST) return false;
  // FAT and some network file systems know no links either.
  struct stat there {};
  if (::lstat(to.c_str(), &there) == 0) {
    errno = EEXIST;
    return false;
  }
  return ::rename(from.c_str(), to.c_str()) == 0;
}

/// Under another name until it is whole, in the same folder. What fails leaves neither a part nor harms what was there.
class Unfinished {
 public:
  explicit Unfinished(const std::string& file) : path_(file + ".part-XXXXXX") {
    const Fd made(::mkostemp(path_.data(), O_CLOEXEC));
    if (!made.ok()) refuse_file(errno == ENOSPC ? Code::no_space : Code::io, file, fmt::format("it cannot be made: {}", std::strerror(errno)));
    const mode_t mask = ::umask(0);
    ::umask(mask);
    ::fchmod(made.get(), 0666 & ~mask);
    made_ = true;
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (made_) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

  /// Durable, and under its name.
  void finish(const std::string& file, bool replace) {
    const Fd whole(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!whole.ok() || ::fsync(whole.get()) != 0) refuse_file(errno == ENOSPC ? Code::no_space : Code::io, file, std::strerror(errno));
    const bool moved = replace ? ::rename(path_.c_str(), file.c_str()) == 0 : move_if_free(path_, file);
    if (!moved) refuse_file(errno == EEXIST ? Code::exists : Code::io, file, std::strerror(errno));
    made_ = false;
  }

 private:
  std::string path_;
  bool made_ = false;
};

/// A volume is exported as of one moment, whoever writes it by then or begins to: through a snapshot that goes away again.
class Moment {
 public:
  Moment(const Context& context, const Json& entry, const std::string& name) : client_(context.client()), name_(name) {
    if (name.find('@') != std::string::npos) return;
    const std::string snapshot = name + "@" + passing_name("export");
    try {
      client_.post("/v1/snapshots", {{"names", {snapshot}}});
    } catch (const Failure& failure) {
      // Nobody can write to a pool that is read-only; and to a full one nobody should, where nobody has the volume open.
      const bool still = failure.code() == code_name(Code::read_only) ||
                         (failure.code() == code_name(Code::no_space) && entry.at("clients") == 0);
      if (!still) throw;
      return;
    }
    snapshot_ = snapshot;
    name_ = snapshot_;
  }
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;
  ~Moment() {
    if (snapshot_.empty()) return;
    const Uninterrupted uninterrupted;
    try {
      client_.post("/v1/delete", {{"names", {snapshot_}}, {"force", true}});
    } catch (const std::exception&) {
      // It stays, under a name that says where it came from.
    }
  }
  const std::string& name() const { return name_; }

 private:
  Client client_;
  std::string name_;
  std::string snapshot_;
};

void run_export(Context& context, ExportOptions given) {
  check_any(given.name);
  need_qemu_img();
  given.file = fs::absolute(given.file).lexically_normal().string();
  if (given.format.empty()) given.format = fs::path(given.file).extension() == ".qcow2" ? "qcow2" : "raw";
  std::error_code error;
  const auto there = fs::status(given.file, error);
  if (fs::exists(there)) {
    if (!fs::is_regular_file(there)) refuse_file(Code::invalid, given.file, "it is there and no ordinary file: give another name");
    if (!given.force) refuse_file(Code::exists, given.file, "it is there already: give another name, or add --force to replace it");
  }
  const auto start = Clock::now();
  const Json entry = context.client().get(path_of(given.name));
  const u64 size = entry.at("size");
  const Moment moment(context, entry, given.name);
  Unfinished file(given.file);
  auto status = convert(context, "export", {"-t", "writeback", "-f", "raw", "-O", given.format, nbd_uri(context, moment.name()), file.path()}, size);
  if (!status) refuse_conversion(status, given.file, "its disk is full: the part that was written is removed");
  file.finish(given.file, given.force);
  struct stat about {};
  if (::stat(given.file.c_str(), &about) != 0) refuse_file(Code::io, given.file, std::strerror(errno));
  const u64 allocated = static_cast<u64>(about.st_blocks) * 512;
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  context.document({{"name", given.name}, {"file", given.file}, {"format", given.format}, {"bytes", size},
                    {"allocated", allocated}, {"seconds", seconds}});
  context.say(fmt::format("{}: {}, of which {} are on disk, in {:.1f} s", given.file, format_size(size), format_size(allocated), seconds));
}

void add_format(CLI::App& verb, std::string& format, const std::string& description) {
  verb.add_option("--format", format, description)->type_name("raw|qcow2")->check(CLI::IsMember({"raw", "qcow2"}));
}

}  // namespace

void add_import(CLI::App& app, Context& context) {
  auto given = std::make_shared<ImportOptions>();
  CLI::App* verb = add_verb(app, context, "import", "Makes a volume from a disk image, raw or qcow2; holes and zeroes take no space.",
                            {"brindle import debian.qcow2 golden", "brindle import disk.img db --label env=test"},
                            [given, &context] { run_import(context, *given); });
  add_argument(*verb, "FILE", given->file, kind::file, "the image, or a block device");
  add_argument(*verb, "NAME", given->name, kind::fresh, "the new volume's name");
  add_format(*verb, given->format, "what FILE is; otherwise its first bytes say");
  verb->add_flag("--pad", given->pad, "a size that is not a multiple of 4096: zeroes at its end");
  add_labels(*verb, given->labels, "a label to give the volume (repeatable)");
}

void add_export(CLI::App& app, Context& context) {
  auto given = std::make_shared<ExportOptions>();
  CLI::App* verb = add_verb(app, context, "export",
                            "Writes a volume or snapshot to a disk image; what is a hole stays one. A volume is exported as of\n"
                            "one moment, whoever writes it meanwhile.",
                            {"brindle export db@monday monday.img", "brindle export db db.qcow2"},
                            [given, &context] { run_export(context, *given); });
  add_argument(*verb, "NAME", given->name, kind::any, "the volume, or VOLUME@SNAP");
  add_argument(*verb, "FILE", given->file, kind::file, "the image to write");
  add_format(*verb, given->format, "what to write; otherwise qcow2 where FILE ends in .qcow2, and raw");
  add_force(*verb, given->force, "replace FILE");
}

}  // namespace brindle::cli
