// show.h: volumes, snapshots and bytes as people read them.
#pragma once

#include <string>

#include "cli/client.h"

namespace brindle::cli {

/// "1.5 GiB", or "-" where the document has null or nothing.
std::string shown_size(const Json& value);
/// "2026-11-24 16:05:09", local time, of an RFC 3339 time; as it stands where it is none.
std::string shown_time(const std::string& rfc3339);
/// "env=prod,team=db"
std::string shown_labels(const Json& labels);
/// "1 volume", "3 volumes"
std::string counted(size_t count, const char* noun);
/// "db, db@monday and web"
std::string enumerated(const std::vector<std::string>& names);

/// The text at `key` of an object, "" where there is none.
std::string text_at(const Json& object, const char* key);

/// The tables of `volume list` and `snapshot list`.
std::string volume_table(const Json& volumes);
std::string snapshot_table(const Json& snapshots);
/// One volume or snapshot, a line for each thing that is known.
std::string details(const Json& entry);

}  // namespace brindle::cli
