#include "serve/attach/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "base/fd.h"

namespace brindle::attach {

namespace {

constexpr int ready_number = 3;
constexpr std::string_view served = "ok\n";

/// Runs in the child: only calls that are safe between fork and exec.
[[noreturn]] void become_server(int log, int ready, char* const* argv) {
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::setsid();
  // A second fork: the process belongs to init, and nobody has to wait for it.
  if (::fork() != 0) ::_exit(0);
  ::dup2(nothing, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  // Through a high number first, as one of the numbers below may be `ready` itself. Everything else is closed: a pipe of
  // the caller's that stayed open would let the caller's reader wait as long as the volume is attached.
  const int high = ::fcntl(ready, F_DUPFD, 64);
  ::dup2(high, ready_number);
  ::close_range(ready_number + 1, ~0U, 0);
  if (::chdir("/") != 0) ::_exit(1);
  ::umask(0022);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_DFL);
  ::execv("/proc/self/exe", argv);
  ::_exit(127);
}

/// Codes that matter to who attaches; the others are all the same to it.
Code code_of(const std::string& name) {
  for (Code code : {Code::not_found, Code::busy, Code::no_space, Code::read_only, Code::unsupported, Code::stopping}) {
    if (code_name(code) == name) return code;
  }
  return Code::io;
}

}  // namespace

Status spawn_server(std::vector<std::string> words, const std::string& log) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error{Code::io, fmt::format("no pipe: {}", std::strerror(errno))};
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const Fd log_file(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log_file.ok()) return Error{Code::io, fmt::format("{}: {}", log, std::strerror(errno))};
  words.emplace_back("--ready-fd");
  words.push_back(std::to_string(ready_number));
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const pid_t child = ::fork();
  if (child < 0) return Error{Code::io, fmt::format("no process: {}", std::strerror(errno))};
  if (child == 0) become_server(log_file.get(), write_end.get(), argv.data());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {}
  write_end.reset();

  std::string said;
  std::array<char, 1024> bytes;
  for (;;) {
    const ssize_t n = ::read(read_end.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    said.append(bytes.data(), static_cast<size_t>(n));
  }
  if (said == served) return {};
  const size_t line_end = said.find('\n');
  if (line_end == std::string::npos) return Error{Code::io, fmt::format("its serving process ended at once: see {}", log)};
  return Error{code_of(said.substr(0, line_end)), said.substr(line_end + 1)};
}

void tell_starter(int ready_fd, const Status& status) {
  const std::string line = status ? std::string(served)
                                  : fmt::format("{}\n{}", code_name(status.code()), status.error().message);
  if (::write(ready_fd, line.data(), line.size()) < 0) {}  // the starter is gone: nobody wants to know
  ::close(ready_fd);
}

}  // namespace brindle::attach
