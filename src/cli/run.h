// run.h: the whole program as a function: a command line in, two texts and an exit code out.
//
// Holds:  whatever goes wrong becomes one line (or, with --json, one document) on `err` and an exit code; nothing is thrown.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace brindle::cli {

struct Outcome {
  int exit = 0;
  std::string out;
  std::string err;
};

/// `arguments`: without the program's name.
Outcome run(const std::vector<std::string>& arguments, const Screen& screen);

}  // namespace brindle::cli
