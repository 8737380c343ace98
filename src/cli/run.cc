#include "cli/run.h"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "base/names.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/usage.h"
#include "cli/verbs.h"

namespace brindle::cli {

namespace {

/// One line: what the daemon or the system put into a message may hold anything.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string error_text(const Failure& failure, const std::string& verb, bool json) {
  if (json) {
    const Json document{{"error", {{"code", failure.code()}, {"message", one_line(failure.message())}}}};
    return document.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  }
  // Nobody who pressed Ctrl-C needs to be told.
  if (failure.exit() == Exit::interrupted) return "";
  return fmt::format("brindle: {}{}{}\n", verb, verb.empty() ? "" : ": ", one_line(failure.message()));
}

/// --json was asked for, even where the command line as a whole makes no sense.
bool wants_json(const std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(arguments.begin(), end, "--json") != end;
}

/// CLI11 reads an argument like [a,b] as two; no name and no label of ours looks so, and it must not delete `a` and `b`.
void refuse_brackets(const std::vector<std::string>& arguments) {
  for (const auto& argument : arguments) {
    if (argument.size() >= 2 && argument.front() == '[' && argument.back() == ']') must(check_name(argument));
  }
}

Outcome run_parsed(const std::vector<std::string>& arguments, CLI::App& app, Context& context) {
  const bool json = wants_json(arguments);
  try {
    try {
      std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
      app.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
      // Help for a verb that there is not would be help for another one.
      if (const auto unknown = app.remaining(true); !unknown.empty()) throw usage_failure(app, CLI::ExtrasError("", unknown));
      return {0, app.help(), ""};
    } catch (const CLI::CallForVersion& version) {
      return {0, std::string(version.what()) + "\n", ""};
    } catch (const CLI::ParseError& error) {
      throw usage_failure(app, error);
    }
    if (app.count("--state") > 0 && context.state.empty()) {
      throw Failure(Exit::usage, "usage", "--state is empty: give the folder that holds the daemon's sockets");
    }
    refuse_brackets(arguments);
    context.body();
    return {static_cast<int>(context.exit()), context.out(), ""};
  } catch (const Failure& failure) {
    return {static_cast<int>(failure.exit()), "", error_text(failure, verb_path(app), json)};
  } catch (const Json::exception& error) {
    const Failure failure(
        Exit::refused, "io",
        fmt::format("the daemon's answer is not what this brindle expects ({}): is it of the same version?",
                    error.what()));
    return {static_cast<int>(failure.exit()), "", error_text(failure, verb_path(app), json)};
  } catch (const std::exception& error) {
    const Failure failure(Exit::refused, "io", fmt::format("it could not be done: {}", error.what()));
    return {static_cast<int>(failure.exit()), "", error_text(failure, verb_path(app), json)};
  }
}

}  // namespace

Outcome run(const std::vector<std::string>& arguments, const Screen& screen) {
  CLI::App app;
  Context context;
  context.screen = screen;
  add_all(app, context);
  return run_parsed(arguments, app, context);
}

}  // namespace brindle::cli
