// brindle: the command line. Everything is in run(); here is only what belongs to a process.
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <langinfo.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/run.h"

int main(int argc, char** argv) {
  using namespace brindle::cli;
  std::setlocale(LC_CTYPE, "");
  watch_interrupts();
  Screen screen;
  screen.out_utf8 = std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0;
  screen.err_tty = ::isatty(STDERR_FILENO) != 0;

  Outcome outcome = run({argv + (argc > 0 ? 1 : 0), argv + argc}, screen);
  if (std::fwrite(outcome.out.data(), 1, outcome.out.size(), stdout) != outcome.out.size() ||
      std::fflush(stdout) != 0) {
    std::fprintf(stderr, "brindle: standard output: %s, and what was asked for may have been done\n",
                 std::strerror(errno));
    return static_cast<int>(Exit::refused);
  }
  std::fputs(outcome.err.c_str(), stderr);
  return outcome.exit;
}
