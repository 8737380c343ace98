// run_program.h: runs another program and keeps what it says on standard error.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace brindle {

/// Called with what the program writes on standard output, as it comes.
using OnOutput = std::function<void(std::string_view)>;
/// Asked some ten times a second: true ends the program.
using Cancelled = std::function<bool()>;

/// Runs `words[0]` (found by PATH and the folders of system programs), with nothing on its standard input, to its end.
/// Fails: not_found (no such program), cancelled, io (it failed; the message is the last line that it wrote).
Status run_program(const std::vector<std::string>& words, const OnOutput& on_output = {}, const Cancelled& cancelled = {});

/// Whether there is such a program.
bool program_installed(const std::string& name);

}  // namespace brindle
