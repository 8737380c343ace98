// spawn.h: starts the serving process, away from the terminal and from whatever ends with it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace brindle::attach {

/// Starts this very program again with these words (the first is its name) and `--ready-fd N`, in a session of its own, its
/// output in `log`; returns when it serves. Fails: as it says.
Status spawn_server(std::vector<std::string> words, const std::string& log);

/// The other side: tells the starter how it went, and closes the pipe.
void tell_starter(int ready_fd, const Status& status);

}  // namespace brindle::attach
