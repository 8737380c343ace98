// context.h: what every verb has at hand: the global options, the daemon, and the two outputs.
//
// Holds:  standard output is written once, at the end, and only if the verb succeeded or found damage: so a failed verb
//         prints nothing there, and --json is exactly one document.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "cli/client.h"
#include "cli/failure.h"

namespace brindle::cli {

/// What is known of the terminal behind an output.
struct Screen {
  bool out_utf8 = false;  // box characters may be drawn on standard output
  bool err_tty = false;   // progress may be drawn on standard error
};

class Context {
 public:
  // --- the global options, as given
  std::string state;
  bool json = false;
  Screen screen;
  /// The verb's body, which runs once all of the command line is understood. add_verb() sets it.
  std::function<void()> body;

  /// --state, or BRINDLE_STATE, or the default; see base/state_dir.h.
  std::string state_dir() const;
  Client client() const;

  /// One line for people; nothing with --json.
  void say(std::string_view line);
  /// Lines for people, each with its newline; nothing with --json.
  void print(std::string_view text);
  /// The one document of --json; nothing without.
  void document(const Json& document);
  /// The verb has done its work, and ends with this (damage was found).
  void end_with(Exit exit) { exit_ = exit; }

  // --- for run()
  const std::string& out() const { return out_; }
  Exit exit() const { return exit_; }

 private:
  std::string out_;
  Exit exit_ = Exit::ok;
};

}  // namespace brindle::cli
