// status.h: a pool's state as keys and values for people.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/client.h"

namespace brindle::cli {

/// `pool`: as GET /v1/pool answers.
std::vector<std::pair<std::string, std::string>> pool_lines(const Json& pool);

}  // namespace brindle::cli
