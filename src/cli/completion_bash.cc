// The bash script: one function that finds the verb on the line and offers what may stand at the cursor.
#include <fmt/format.h>

#include "cli/completion.h"

namespace brindle::cli {

namespace {

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

/// The part that knows the tree: sets what follows a verb.
std::string bash_tree(const std::vector<VerbModel>& verbs) {
  std::string out = "_brindle_describe() {\n  verbs='' options='' arguments=() rest='' values=''\n  case \"$1\" in\n";
  for (const auto& verb : verbs) {
    std::vector<std::string> options, values, arguments;
    std::string rest;
    for (const auto& option : verb.options) {
      options.push_back(option.name);
      if (option.takes_value) values.push_back(option.name + "=" + value_word(option.value));
    }
    for (const auto& argument : verb.arguments) {
      const std::string word = value_word(argument.value);
      arguments.push_back(word);
      if (argument.repeated) rest = word;
    }
    out += fmt::format("    '{}') verbs='{}' options='{}' values='{}' arguments=({}) rest='{}' ;;\n", verb.path,
                       joined(verb.verbs), joined(options), joined(values), joined(arguments), rest);
  }
  return out + "  esac\n}\n";
}

constexpr const char* bash_head = R"(# bash completion for brindle; made by `brindle completion bash`.
# Load it:  source <(brindle completion bash)
)";

constexpr const char* bash_body = R"(
# Sets value to what the option $1 takes: nothing for a flag.
_brindle_value() {
  local pair
  value=''
  for pair in $values $global_values; do
    [[ ${pair%%=*} == "$1" ]] && value="${pair#*=}"
  done
}

_brindle() {
  local line="${COMP_LINE:0:COMP_POINT}" cur='' word path='' state='' i value='' wanted='' want='' count=0 end=0
  local verbs options arguments rest values global_options global_values prefix
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  cur="${words[${#words[@]}-1]}"
  _brindle_describe ''
  global_options="$options" global_values="$values"
  for ((i = 1; i < ${#words[@]} - 1; ++i)); do
    word="${words[i]}"
    if [[ -n $want ]]; then
      [[ $want == --state ]] && state="$word"
      want=''
    elif [[ $end == 0 && $word == -- ]]; then
      end=1
    elif [[ $end == 0 && $word == --state=* ]]; then
      state="${word#*=}"
    elif [[ $end == 0 && $word == -* ]]; then
      _brindle_value "$word"
      [[ -n $value ]] && want="$word"
    elif [[ " $verbs " == *" $word "* ]]; then
      path="${path:+$path }$word"
      _brindle_describe "$path"
    else
      count=$((count + 1))
    fi
  done
  if [[ -n $want ]]; then
    _brindle_value "$want"
    wanted="$value"
  elif [[ $end == 0 && $cur == --*=* ]]; then
    _brindle_value "${cur%%=*}"
    wanted="$value"
    cur="${cur#*=}"
  elif [[ $end == 0 && $cur == -* ]]; then
    wanted='options'
  elif [[ -n $verbs ]]; then
    wanted='verbs'
  elif ((count < ${#arguments[@]})); then
    wanted="${arguments[count]}"
  else
    wanted="$rest"
  fi

  COMPREPLY=()
  case "$wanted" in
    verbs) COMPREPLY=($(compgen -W "$verbs" -- "$cur")) ;;
    options) COMPREPLY=($(compgen -W "$options $global_options" -- "$cur")) ;;
    choice:*) local choices="${wanted#choice:}"; COMPREPLY=($(compgen -W "${choices//:/ }" -- "$cur")) ;;
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    volume | volume@ | snapshot | any)
      mapfile -t COMPREPLY < <("${words[0]}" ${state:+--state "$state"} __complete "$wanted" -- "$cur" 2>/dev/null)
      [[ $wanted == volume@ ]] && compopt -o nospace ;;
  esac
  # Where bash begins words at @, it replaces only the @ and what stands behind it.
  if [[ $cur == *@* && $COMP_WORDBREAKS == *@* && $wanted != file && $wanted != dir ]]; then
    prefix="${cur%@*}"
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
  fi
}

complete -F _brindle brindle
)";

}  // namespace

std::string bash_script(const std::vector<VerbModel>& verbs) { return bash_head + bash_tree(verbs) + bash_body; }

}  // namespace brindle::cli
