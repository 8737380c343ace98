// options.h: how a verb describes itself, so that all verbs take the same things in the same way.
//
// Holds:  the CLI11 tree built with these knows of each argument what it names, and completion and help are made from it.
// Caller: the add_xxx() of each verb's file. What they fill is owned by a shared_ptr that the body holds.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/units.h"
#include "cli/context.h"

namespace brindle::cli {

/// What an argument names, for completion: it stands in the option's type name.
namespace kind {
inline constexpr const char* fresh = "fresh";        // a name that is not there yet, or a size: nothing to complete
inline constexpr const char* volume = "volume";      // an existing volume
inline constexpr const char* snapshot = "snapshot";  // an existing VOLUME@SNAP
inline constexpr const char* of_volume = "volume@";  // a snapshot that is not there yet, of an existing volume
inline constexpr const char* any = "any";            // either
inline constexpr const char* file = "file";
}  // namespace kind

/// A verb whose subcommands are the real ones: `volume`, `snapshot`, `pool`.
CLI::App* add_group(CLI::App& parent, const std::string& name, const std::string& description);

/// A verb. `examples`: whole command lines, for its help; at least one.
CLI::App* add_verb(CLI::App& parent, Context& context, const std::string& name, const std::string& description,
                   std::initializer_list<const char*> examples, std::function<void()> body);

/// A positional argument, required unless said otherwise with ->required(false).
CLI::Option* add_argument(CLI::App& verb, const std::string& shown, std::string& value, const char* what,
                          const std::string& description);
/// One or more positional arguments.
CLI::Option* add_arguments(CLI::App& verb, const std::string& shown, std::vector<std::string>& values, const char* what,
                           const std::string& description);

/// --label K=V, repeatable.
void add_labels(CLI::App& verb, std::vector<std::string>& labels, const std::string& description);
void add_wait(CLI::App& verb, bool& wait);
void add_force(CLI::App& verb, bool& force, const std::string& description);

/// What every list takes: filters, order, and a page of it.
struct ListOptions {
  std::vector<std::string> labels;
  std::string sort;
  bool reverse = false;
  std::string limit, offset;  // whole numbers; "" where not given
};
void add_list_options(CLI::App& verb, ListOptions& options);
Query list_query(const ListOptions& options);

// --- checks before anything is sent, with the daemon's own words; each refuses with `invalid`

/// A size in bytes as the contract spells it.
u64 checked_size(const std::string& text);
/// NAME is a volume's.
void check_volume(const std::string& name);
/// NAME is VOLUME@SNAP.
void check_snapshot(const std::string& name);
/// NAME is either.
void check_any(const std::string& name);
template <class Check>
void check_each(const std::vector<std::string>& names, Check check) {
  for (const auto& name : names) check(name);
}
/// The object of `K=V`s.
Json parse_labels(const std::vector<std::string>& labels);

}  // namespace brindle::cli
