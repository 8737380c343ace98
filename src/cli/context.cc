#include "cli/context.h"

#include <fmt/format.h>

#include "base/state_dir.h"

namespace brindle::cli {

std::string Context::state_dir() const { return brindle::state_dir(state); }

Client Context::client() const { return Client(fmt::format("{}/{}", state_dir(), control_socket_name)); }

void Context::say(std::string_view line) {
  if (!json) (out_ += line) += '\n';
}

void Context::print(std::string_view text) {
  if (!json) out_ += text;
}

void Context::document(const Json& document) {
  if (json) out_ = document.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace brindle::cli
