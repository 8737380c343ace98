// names.h: the spelling of names and sizes, one rule for the command line, the daemon and NBD.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace brindle {

/// A volume's or a snapshot's own name: 1 to 128 of `A-Z a-z 0-9 . _ -`, not beginning with `-` or `.`.
/// Fails: invalid.
Status check_name(std::string_view name);

/// `volume` or `volume@snapshot`; `snapshot` is empty for a volume.
struct FullName {
  std::string volume;
  std::string snapshot;
};
/// Fails: invalid.
Result<FullName> parse_name(std::string_view name);

/// A whole number of bytes, or one with K, M, G or T (powers of 1024). Fails: invalid (malformed, or 2^64 and more).
Result<u64> parse_bytes(std::string_view text);
/// Bytes of a volume or pool: as parse_bytes, positive, a multiple of 4096, at most 1 PiB. Fails: invalid.
Result<u64> parse_size(std::string_view text);
/// The same limits for a number. Fails: invalid.
Status check_size(u64 bytes);

/// For people: "1.5 GiB".
std::string format_size(u64 bytes);

}  // namespace brindle
