#include "daemon/options.h"

#include <algorithm>
#include <array>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/names.h"
#include "base/state_dir.h"
#include "control/listen.h"
#include "daemon/version.h"

namespace brindle::daemon {

namespace {

constexpr u64 memory_min = 32 * MiB;
constexpr int core_max = 1023;
constexpr std::array levels{"trace", "debug", "info", "warn", "error"};

Error bad_option(std::string_view option, std::string_view why) {
  return {Code::invalid, fmt::format("--{}: {}", option, why)};
}

/// Texts to options, each checked.
Result<Options> settle(const ConfigValues& given) {
  Options options;
  if (given.state && given.state->empty()) return bad_option("state", "the folder's name is empty");
  options.state = state_dir(given.state.value_or(""));
  options.pools = given.pools.value_or(std::vector<std::string>());
  for (const std::string& pool : options.pools) {
    if (pool.empty()) return bad_option("pool", "the path is empty");
  }
  options.create = given.create.value_or(false);
  options.force = given.force.value_or(false);
  if (options.force && !options.create) return bad_option("force", "it goes with --create only");
  if (given.pool_size) {
    auto size = parse_size(*given.pool_size);
    if (!size) return bad_option("pool-size", size.error().message);
    options.pool_size = *size;
  }
  if (given.memory) {
    auto memory = parse_bytes(*given.memory);
    if (!memory) return bad_option("memory", memory.error().message);
    if (*memory < memory_min) return bad_option("memory", "give at least 32M");
    options.memory = *memory;
  }
  const std::string ack = given.ack.value_or("device");
  if (ack != "device" && ack != "staged") return bad_option("ack", fmt::format("{} is neither device nor staged", ack));
  options.staged = ack == "staged";
  if (given.staging) options.staging = *given.staging;
  if (options.staging.empty()) return bad_option("staging", "the folder's name is empty");
  if (given.cores) {
    auto cores = parse_cores(*given.cores);
    if (!cores) return bad_option("cores", cores.error().message);
    options.cores = *cores;
  }
  for (const auto& [name, address] : {std::pair("nbd", &given.nbd), std::pair("http", &given.http)}) {
    if (!*address) continue;
    if (auto where = control::parse_host_port(**address); !where) return bad_option(name, where.error().message);
  }
  options.nbd = given.nbd.value_or("");
  options.http = given.http.value_or("");
  options.log_level = given.log_level.value_or("info");
  if (std::find(levels.begin(), levels.end(), options.log_level) == levels.end()) {
    return bad_option("log-level", fmt::format("{} is none of trace, debug, info, warn and error", options.log_level));
  }
  return options;
}

/// What the command line says, and where it is silent what the file says.
template <class T>
void prefer(std::optional<T>& ours, std::optional<T>& theirs) {
  if (!ours) ours = std::move(theirs);
}

}  // namespace

Result<std::vector<int>> parse_cores(const std::string& text) {
  const Error malformed{Code::invalid, fmt::format("{} is no list of cores: give numbers and ranges, as in 0,2-3", text)};
  std::vector<int> cores;
  const auto number = [](std::string_view digits) -> int {
    if (digits.empty() || digits.size() > 4) return -1;
    if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return -1;
    return std::stoi(std::string(digits));
  };
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string_view part = std::string_view(text).substr(at, end - at);
    const size_t dash = part.find('-');
    const int first = number(part.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
    if (first < 0 || last < first || last > core_max) return malformed;
    for (int core = first; core <= last; ++core) {
      if (std::find(cores.begin(), cores.end(), core) != cores.end()) {
        return Error{Code::invalid, fmt::format("core {} is there twice", core)};
      }
      if (core >= sysconf(_SC_NPROCESSORS_CONF)) {
        return Error{Code::invalid, fmt::format("there is no core {}: this machine has 0 to {}", core,
                                                sysconf(_SC_NPROCESSORS_CONF) - 1)};
      }
      cores.push_back(core);
    }
    at = end + 1;
  }
  return cores;
}

Parsed parse_options(int argc, const char* const* argv) {
  CLI::App app{"brindled: keeps a pool of copy-on-write volumes, and serves them over NBD.", "brindled"};
  app.set_help_flag("-h,--help", "print this and exit");
  ConfigValues given;
  std::string config;
  bool version = false;
  bool create = false;
  bool force = false;
  app.add_option("--state", given.state,
                 "folder of the default pool and the sockets; else $BRINDLE_STATE; else ./.brindle, or /var/lib/brindle where installed")
      ->type_name("DIR");
  app.add_option("--pool", given.pools,
                 "file or block device that holds the pool (default: DIR/pool, created when missing); several: one "
                 "pool on all of them")
      ->type_name("PATH")
      ->expected(1, 1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--create", create, "make the --pool where there is none yet");
  app.add_flag("--force", force, "with --create: overwrite a block device that carries something else");
  app.add_option("--pool-size", given.pool_size,
                 "what a pool's files may grow to together (default: what the file system has free, less 10 %)")
      ->type_name("SIZE");
  app.add_option("--memory", given.memory, "memory for maps and caches (default 256M)")->type_name("SIZE");
  app.add_option("--ack", given.ack,
                 "when a write is done: device (it has it; default), or staged: it stands in memory that outlives the daemon, though not the "
                 "machine; flushes and FUA are durable either way")
      ->type_name("device|staged");
  app.add_option("--staging", given.staging, "folder on tmpfs for that memory, 16 MiB a pool (default /dev/shm)")->type_name("DIR");
  app.add_option("--cores", given.cores, "cores to run on, one thread each, as 0,2-3 (default: one thread)")->type_name("LIST");
  app.add_option("--nbd", given.nbd, "serve NBD on a TCP address too")->type_name("ADDR:PORT");
  app.add_option("--http", given.http, "serve the control API on a TCP address too")->type_name("ADDR:PORT");
  app.add_option("--config", config, "TOML file with long options as keys; the command line beats it")->type_name("FILE");
  app.add_option("--log-level", given.log_level, "trace, debug, info, warn or error (default info)")->type_name("L");
  app.add_flag("--version", version, "print the version and exit");

  Parsed parsed;
  const auto wrong = [&](std::string why) {
    parsed.kind = Parsed::Kind::usage_error;
    parsed.text = std::move(why);
    return parsed;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    parsed.kind = Parsed::Kind::print;
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::ParseError& error) {
    std::string why = error.what();
    std::replace(why.begin(), why.end(), '\n', ' ');
    return wrong(why);
  }
  if (version) {
    parsed.kind = Parsed::Kind::print;
    parsed.text = fmt::format("brindled {}\n", version_text);
    return parsed;
  }
  // The parser loses an empty word in a list.
  if (app.count("--pool") != given.pools.value_or(std::vector<std::string>()).size()) return wrong("--pool: the path is empty");
  if (create) given.create = true;
  if (force) given.force = true;
  if (app.count("--config") > 0) {
    auto file = read_config(config);
    if (!file) return wrong(file.error().message);
    prefer(given.state, file->state);
    prefer(given.pools, file->pools);
    prefer(given.create, file->create);
    prefer(given.force, file->force);
    prefer(given.pool_size, file->pool_size);
    prefer(given.memory, file->memory);
    prefer(given.ack, file->ack);
    prefer(given.staging, file->staging);
    prefer(given.cores, file->cores);
    prefer(given.nbd, file->nbd);
    prefer(given.http, file->http);
    prefer(given.log_level, file->log_level);
  }
  auto options = settle(given);
  if (!options) return wrong(options.error().message);
  parsed.options = std::move(options).value();
  return parsed;
}

}  // namespace brindle::daemon
