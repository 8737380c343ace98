// The zsh script: as the bash one, with the descriptions beside what it offers.
#include <fmt/format.h>

#include "cli/completion.h"

namespace brindle::cli {

namespace {

/// Within '…', and for _describe, where a colon parts the word from its description.
std::string quoted(const std::string& word, const std::string& description) {
  std::string text;
  for (const char c : word + ":" + description) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "'" + text + "'";
}

std::string zsh_tree(const std::vector<VerbModel>& verbs) {
  std::string out = "_brindle_describe() {\n  verbs=() options=() values=() arguments=() rest=''\n  case \"$1\" in\n";
  for (const auto& verb : verbs) {
    out += fmt::format("    '{}')\n", verb.path);
    for (const auto& name : verb.verbs) {
      const std::string path = verb.path.empty() ? name : verb.path + " " + name;
      for (const auto& child : verbs) {
        if (child.path == path) out += fmt::format("      verbs+=({})\n", quoted(name, child.description));
      }
    }
    for (const auto& option : verb.options) {
      out += fmt::format("      options+=({})\n", quoted(option.name, option.description));
      if (option.takes_value) out += fmt::format("      values[{}]='{}'\n", option.name, value_word(option.value));
    }
    for (const auto& argument : verb.arguments) {
      out += fmt::format("      arguments+=('{}')\n", value_word(argument.value));
      if (argument.repeated) out += fmt::format("      rest='{}'\n", value_word(argument.value));
    }
    out += "      ;;\n";
  }
  return out + "  esac\n}\n";
}

constexpr const char* zsh_head = R"(#compdef brindle
# zsh completion for brindle; made by `brindle completion zsh`.
# Load it:  source <(brindle completion zsh)    or save it as _brindle in a folder of $fpath
)";

constexpr const char* zsh_body = R"(
_brindle() {
  local cur="${words[CURRENT]}" word verb_path='' state='' wanted='' want='' rest='' i
  local -i count=0 end=0
  local -a verbs options arguments global_options names
  local -A values global_values
  _brindle_describe ''
  global_options=("${options[@]}")
  global_values=("${(@kv)values}")
  for ((i = 2; i < CURRENT; ++i)); do
    word="${words[i]}"
    if [[ -n $want ]]; then
      [[ $want == --state ]] && state="${(Q)word}"
      want=''
    elif ((!end)) && [[ $word == -- ]]; then
      end=1
    elif ((!end)) && [[ $word == --state=* ]]; then
      state="${(Q)word#*=}"
    elif ((!end)) && [[ $word == -* ]]; then
      [[ -n ${values[$word]-}${global_values[$word]-} ]] && want="$word"
    elif [[ -n ${(M)verbs:#${word}:*} ]]; then
      verb_path="${verb_path:+$verb_path }$word"
      _brindle_describe "$verb_path"
    else
      count+=1
    fi
  done
  if [[ -n $want ]]; then
    wanted="${values[$want]-}${global_values[$want]-}"
  elif ((!end)) && [[ $cur == --*=* ]]; then
    want="${cur%%=*}"
    wanted="${values[$want]-}${global_values[$want]-}"
    compset -P '*='
    cur="${cur#*=}"
  elif ((!end)) && [[ $cur == -* ]]; then
    wanted='options'
  elif ((${#verbs})); then
    wanted='verbs'
  elif ((count < ${#arguments})); then
    wanted="${arguments[count + 1]}"
  else
    wanted="$rest"
  fi

  case "$wanted" in
    verbs) _describe verb verbs ;;
    options) [[ -n $verb_path ]] && options+=("${global_options[@]}"); _describe option options ;;
    choice:*) compadd -- ${(s.:.)${wanted#choice:}} ;;
    file) _files ;;
    dir) _files -/ ;;
    volume | volume@ | snapshot | any)
      names=("${(@f)$("${(Q)words[1]}" ${state:+--state} ${state:+"$state"} __complete "$wanted" -- "${(Q)cur}" 2>/dev/null)}")
      names=("${(@)names:#}")
      if [[ $wanted == volume@ ]]; then compadd -S '' -- "${names[@]}"; else compadd -- "${names[@]}"; fi ;;
  esac
}

# Saved in a folder of $fpath, this file is the function's first call; sourced, it says who completes brindle.
if [[ ${funcstack[1]-} == _brindle ]]; then
  _brindle "$@"
elif (($+functions[compdef])); then
  compdef _brindle brindle
fi
)";

}  // namespace

std::string zsh_script(const std::vector<VerbModel>& verbs) { return zsh_head + zsh_tree(verbs) + zsh_body; }

}  // namespace brindle::cli
