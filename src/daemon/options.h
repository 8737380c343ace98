// options.h: what brindled was told: on the command line, in a configuration file, by the environment.
//
// Holds:  the command line beats the file, the file beats the environment, and that beats the default.
// Fails:  UsageError: exit 2.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace brindle::daemon {

struct Options {
  std::string state;                // the folder, as it was given
  std::vector<std::string> pools;   // empty: STATE/pool
  bool create = false;
  bool force = false;
  std::optional<u64> pool_size;     // bytes
  u64 memory = 256 * MiB;
  bool staged = false;              // writes are acknowledged from staging memory
  std::string staging = "/dev/shm"; // the folder of that memory
  std::vector<int> cores;           // empty: one reactor, on whichever core
  std::string nbd;                  // ADDR:PORT, or ""
  std::string http;
  std::string log_level = "info";
};

/// What main does with the command line.
struct Parsed {
  enum class Kind { run, print, usage_error } kind = Kind::run;
  Options options;
  std::string text;  // to print, or what is wrong
};
Parsed parse_options(int argc, const char* const* argv);

/// "0,2-3": distinct cores, in the order given. Fails: invalid.
Result<std::vector<int>> parse_cores(const std::string& text);

/// What options may be given in a file: TOML, keys as the long options.
struct ConfigValues {
  std::optional<std::string> state, memory, pool_size, ack, staging, cores, nbd, http, log_level;
  std::optional<std::vector<std::string>> pools;
  std::optional<bool> create, force;
};
/// Fails: invalid, with the file's name and line.
Result<ConfigValues> read_config(const std::string& path);

}  // namespace brindle::daemon
