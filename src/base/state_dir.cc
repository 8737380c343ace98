#include "base/state_dir.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace brindle {

std::string default_state_dir(std::string_view program) {
  return program.starts_with("/usr/") ? "/var/lib/brindle" : "./.brindle";
}

std::string state_dir(std::string_view given) {
  if (!given.empty()) return std::string(given);
  if (const char* from_environment = std::getenv("BRINDLE_STATE");
      from_environment != nullptr && *from_environment != '\0') {
    return from_environment;
  }
  std::error_code unknown;
  return default_state_dir(std::filesystem::read_symlink("/proc/self/exe", unknown).string());
}

}  // namespace brindle
