// failure.h: how a verb ends when it does not succeed; inside this room alone it is thrown.
//
// Holds:  `message` is one line that says why and what to do, without "brindle:" and without the verb; run() adds both.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "base/result.h"

namespace brindle::cli {

/// What scripts see; spelled in docs/cli.md.
enum class Exit : int {
  ok = 0,
  refused = 1,  // the daemon, or a check before it, said no; or damage was found
  usage = 2,    // the command line makes no sense
  no_daemon = 3,
  interrupted = 130  // SIGINT, as shells count it
};

class Failure : public std::exception {
 public:
  Failure(Exit exit, std::string code, std::string message)
      : exit_(exit), code_(std::move(code)), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  Exit exit() const { return exit_; }
  /// The stable spelling: a code of docs/api.md, or "usage", "no_daemon", "interrupted".
  const std::string& code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Exit exit_;
  std::string code_;
  std::string message_;
};

[[noreturn]] inline void refuse(const Error& error) {
  throw Failure(Exit::refused, std::string(code_name(error.code)), error.message);
}
[[noreturn]] inline void refuse(Code code, std::string message) { refuse(Error{code, std::move(message)}); }

/// The value, or the error as a refusal.
template <class T>
T must(Result<T> result) {
  if (!result) refuse(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

}  // namespace brindle::cli
