// signature.h: whose bytes a block device carries, so that nobody's data is taken for free space.
//
// The places and magic numbers are those that blkid(8) and the kernel know; each stands in its format's own description.
// Caller: whoever is about to make a pool of a device. Reading changes nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/units.h"

namespace brindle::daemon {

/// Reads `into.size()` bytes at `offset`; false: it cannot.
using ReadAt = std::function<bool(u64 offset, MutBytes into)>;

/// "ext4", "GPT", … of a device of that many bytes, or nothing known.
std::optional<std::string> find_signature(u64 size, const ReadAt& read);

/// The same of what lies at `path`. Fails: io.
Result<std::optional<std::string>> signature_of(const std::string& path);

}  // namespace brindle::daemon
