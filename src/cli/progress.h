// progress.h: one line on a terminal that says how far long work has come.
//
// Holds:  nothing is written where standard error is no terminal, and the line is wiped before anything else is printed.
#pragma once

#include <chrono>
#include <string>

#include "base/units.h"

namespace brindle::cli {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  /// `verb`: what stands first in the line, "scrub".
  Progress(std::string verb, bool on_terminal);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  /// Draws the line anew. `total` 0: not known yet.
  void show(u64 done, u64 total);
  void clear();

 private:
  std::string verb_;
  bool on_terminal_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
};

/// "scrub  1.5 GiB of 3.0 GiB, 50 %, 310 MiB/s, 5 s left"
std::string progress_line(const std::string& verb, u64 done, u64 total, double seconds);

}  // namespace brindle::cli
