#include "base/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "base/fd.h"

namespace brindle {

namespace {

constexpr int look_ms = 100;
constexpr size_t said_max = 16 * 1024;
constexpr const char* system_folders = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  // A user's PATH often lacks the folders where mkfs lives.
  const std::string folders = path != nullptr ? std::string(path) + ":" + system_folders : system_folders;
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string candidate = folders.substr(begin, end - begin) + "/" + name;
    if (end > begin && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return {};
}

std::string last_line(std::string said) {
  while (!said.empty() && (said.back() == '\n' || said.back() == '\r' || said.back() == ' ')) said.pop_back();
  const size_t at = said.find_last_of("\n\r");
  return at == std::string::npos ? said : said.substr(at + 1);
}

struct Pipe {
  Fd read, write;
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read.reset(ends[0]);
    write.reset(ends[1]);
    return true;
  }
};

}  // namespace

bool program_installed(const std::string& name) { return !find_program(name).empty(); }

Status run_program(const std::vector<std::string>& words, const OnOutput& on_output, const Cancelled& cancelled) {
  const std::string program = find_program(words.front());
  if (program.empty()) return Error{Code::not_found, fmt::format("the program {} is not installed", words.front())};
  Pipe out, err;
  if (!out.open() || !err.open()) return Error{Code::io, fmt::format("no pipe: {}", std::strerror(errno))};

  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), 2);
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return Error{Code::io, fmt::format("{}: {}", program, std::strerror(failure))};
  out.write.reset();
  err.write.reset();

  std::string said;
  bool ended_by_us = false;
  pollfd ends[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (!ended_by_us && cancelled && cancelled()) {
      ended_by_us = true;
      ::kill(pid, SIGTERM);
    }
    if (::poll(ends, 2, look_ms) <= 0) continue;
    for (auto& end : ends) {
      if (end.fd < 0 || end.revents == 0) continue;
      char bytes[4096];
      const ssize_t n = ::read(end.fd, bytes, sizeof bytes);
      if (n < 0 && errno == EINTR) continue;
      const bool is_error = end.fd == err.read.get();
      if (n <= 0) {
        end.fd = -1;
      } else if (is_error) {
        said.append(bytes, static_cast<size_t>(n));
        if (said.size() > said_max) said.erase(0, said.size() - said_max);
      } else if (on_output) {
        on_output({bytes, static_cast<size_t>(n)});
      }
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (ended_by_us || (cancelled && cancelled())) return Error{Code::cancelled, "interrupted"};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string why = last_line(said);
  if (why.empty()) why = WIFSIGNALED(status) ? fmt::format("{} was killed by signal {}", words.front(), WTERMSIG(status))
                                             : fmt::format("{} failed with {}", words.front(), WEXITSTATUS(status));
  return Error{Code::io, why};
}

}  // namespace brindle
