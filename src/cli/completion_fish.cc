// The fish script: one `complete` line for each verb, option and argument, each with the place where it may stand.
#include <fmt/format.h>

#include "cli/completion.h"

namespace brindle::cli {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// What -a gets, "" for nothing. Files and folders need other flags.
std::string candidates(const Completable& value) {
  if (value.kind == "choice") return fmt::format("{}", fmt::join(value.choices, " "));
  if (value.kind.empty() || value.kind == "file" || value.kind == "dir") return "";
  return fmt::format("(__brindle_names {})", value.kind);
}

std::string option_line(const std::string& condition, const OptionModel& option) {
  std::string line =
      fmt::format("complete -c brindle {}-l {} -d {}", condition, option.name.substr(2), quoted(option.description));
  if (!option.takes_value) return line + "\n";
  if (option.value.kind == "file") return line + " -r -F\n";
  if (option.value.kind == "dir") return line + " -x -a '(__fish_complete_directories)'\n";
  line += " -x";
  if (const std::string given = candidates(option.value); !given.empty()) line += " -a " + quoted(given);
  return line + "\n";
}

std::string argument_lines(const VerbModel& verb) {
  std::string out;
  for (size_t i = 0; i < verb.arguments.size(); ++i) {
    const auto& argument = verb.arguments[i];
    const std::string condition =
        fmt::format("-n '__brindle_at \"{}\" {}{}'", verb.path, i, argument.repeated ? " more" : "");
    if (argument.value.kind == "file") {
      out += fmt::format("complete -c brindle {} -F\n", condition);
    } else if (const std::string given = candidates(argument.value); !given.empty()) {
      out += fmt::format("complete -c brindle {} -a {}\n", condition, quoted(given));
    }
  }
  return out;
}

constexpr const char* fish_head = R"(# fish completion for brindle; made by `brindle completion fish`.
# Load it:  brindle completion fish | source
)";

constexpr const char* fish_functions = R"(
# The words so far, without options and their values: verbs first, then arguments.
function __brindle_words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word $__brindle_value_options
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
        end
    end
end

# __brindle_at PATH COUNT [more]: the verb PATH is complete, and COUNT arguments (or more) stand behind it.
function __brindle_at
    set -l path (string split -n ' ' -- $argv[1])
    set -l words (__brindle_words)
    test (count $words) -ge (count $path); or return 1
    for i in (seq (count $path))
        test $words[$i] = $path[$i]; or return 1
    end
    test (count $argv) -ge 2; or return 0
    set -l arguments (math (count $words) - (count $path))
    test $arguments = $argv[2]; or begin
        test (count $argv) -ge 3; and test $arguments -gt $argv[2]
    end
end

function __brindle_names
    set -l state
    set -l words (commandline -opc)
    for i in (seq (count $words))
        if test $words[$i] = --state; and test $i -lt (count $words)
            set state --state $words[(math $i + 1)]
        else if string match -q -- '--state=*' $words[$i]
            set state $words[$i]
        end
    end
    $words[1] $state __complete $argv[1] -- (commandline -ct | string replace -r '^--[^=]*=' '') 2>/dev/null
end

)";

}  // namespace

std::string fish_script(const std::vector<VerbModel>& verbs) {
  std::string value_options = "set -g __brindle_value_options";
  std::string lines = "complete -c brindle -f\n";
  for (const auto& verb : verbs) {
    const std::string at = fmt::format("-n '__brindle_at \"{}\"' ", verb.path);
    for (const auto& name : verb.verbs) {
      const std::string path = verb.path.empty() ? name : verb.path + " " + name;
      for (const auto& child : verbs) {
        if (child.path != path) continue;
        lines += fmt::format("complete -c brindle -n '__brindle_at \"{}\" 0' -a {} -d {}\n", verb.path, name,
                             quoted(child.description));
      }
    }
    for (const auto& option : verb.options) {
      if (option.takes_value && value_options.find(" " + option.name + " ") == std::string::npos)
        value_options += " " + option.name;
      lines += option_line(verb.path.empty() ? "" : at, option);
    }
    lines += argument_lines(verb);
  }
  return fish_head + value_options + "\n" + fish_functions + lines;
}

}  // namespace brindle::cli
