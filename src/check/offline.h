// offline.h: the verifier for a pool that no daemon has open, from a plain function.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "check/verify.h"

namespace brindle {

/// Called now and then with bytes done and in all (0: not known yet); false ends the check.
using CheckWatcher = std::function<bool(u64 done, u64 total)>;

/// Opens the file or block device read-only and verifies it: or several, in any order, where the pool lies on several. They are left as
/// they were, byte for byte.
/// Fails: busy (a daemon has it open), io (it cannot be opened), invalid (devices that are no pool together), and as verify.
Result<CheckReport> verify_files(const std::vector<std::string>& paths, VerifyOptions options, CheckWatcher watch);

}  // namespace brindle
