#include "cli/progress.h"

#include <cstdio>

#include <fmt/format.h>

#include "base/names.h"

namespace brindle::cli {

std::string progress_line(const std::string& verb, u64 done, u64 total, double seconds) {
  if (total == 0) return fmt::format("{}  {}", verb, format_size(done));
  const double part = static_cast<double>(done) / static_cast<double>(total);
  std::string line = fmt::format("{}  {} of {}, {:.0f} %", verb, format_size(done), format_size(total), 100 * part);
  // The first moments say nothing about the rate.
  if (seconds < 0.5 || done == 0) return line;
  const double rate = static_cast<double>(done) / seconds;
  line += fmt::format(", {}/s", format_size(static_cast<u64>(rate)));
  if (done >= total) return line;
  const u64 left = static_cast<u64>(static_cast<double>(total - done) / rate) + 1;
  line += left < 120 ? fmt::format(", {} s left", left) : fmt::format(", {} min left", left / 60);
  return line;
}

Progress::Progress(std::string verb, bool on_terminal) : verb_(std::move(verb)), on_terminal_(on_terminal) {}

void Progress::show(u64 done, u64 total) {
  if (!on_terminal_) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const std::string line = "\r" + progress_line(verb_, done, total, seconds) + "\x1b[K";
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace brindle::cli
