// offline.h: the verifier for a pool that no daemon has open, from a plain function.
#pragma once

#include <functional>
#include <string>

#include "check/verify.h"

namespace brindle {

/// Called now and then with bytes done and in all (0: not known yet); false ends the check.
using CheckWatcher = std::function<bool(u64 done, u64 total)>;

/// Opens the file or block device read-only and verifies it. It is left as it was, byte for byte.
/// Fails: busy (a daemon has it open), io (it cannot be opened), and as verify.
Result<CheckReport> verify_file(const std::string& path, VerifyOptions options, CheckWatcher watch);

}  // namespace brindle
