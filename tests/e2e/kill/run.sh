#!/bin/bash
# run.sh: the stories of this folder in turn, for as long as it is told; `./dev kill` calls it.
#   run.sh [--minutes N] [STORY...]
# Every story gets two minutes at a time (less when there is less). The last line is `N kills, N operations, N failures` in all, and it exits 1
# when something failed. What a story that failed had said is shown.
set -euo pipefail
# shellcheck source=tools/common.sh
. "$(dirname "$(readlink -f "$0")")/../../../tools/common.sh"
folder=$root/tests/e2e/kill
export BRINDLED=${BRINDLED:-$root/build/brindled} BRINDLE=${BRINDLE:-$root/build/brindle} BRINDLE_PROGRAMS=${BRINDLE_PROGRAMS:-$root/build}

minutes=10 stories=()
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=${2:?} && shift 2 ;;
    -*) die "unknown option $1" ;;
    *) stories+=("${1%.*}") && shift ;;
  esac
done
if [ ${#stories[@]} = 0 ]; then
  for file in "$folder"/*.py "$folder"/postgres_*.sh; do
    name=${file##*/}
    [ "$name" = kill.py ] || stories+=("${name%.*}")
  done
fi

log=$(mktemp /tmp/brindle-kill.XXXXXX)
trap 'rm -f "$log"' EXIT
kills=0 operations=0 failures=0
end=$((SECONDS + minutes * 60))
while [ "$SECONDS" -lt "$end" ]; do
  for story in "${stories[@]}"; do
    share=$(((end - SECONDS) / ${#stories[@]}))
    share=$((share > 120 ? 120 : share < 5 ? 5 : share))
    command=("$folder/$story.sh")
    [ -f "$folder/$story.sh" ] || command=(python3 -B "$folder/$story.py")
    status=0
    "${command[@]}" --seconds "$share" > "$log" 2>&1 || status=$?
    last=$(tail -n 1 "$log")
    say "$story: $last"
    [ "$status" != 77 ] || continue # skipped, and it said why
    if [[ $last =~ ^([0-9]+)\ kills,\ ([0-9]+)\ operations,\ ([0-9]+)\ failures$ ]]; then
      kills=$((kills + BASH_REMATCH[1])) operations=$((operations + BASH_REMATCH[2]))
    fi
    if [ "$status" != 0 ]; then
      failures=$((failures + 1))
      cat "$log"
    fi
  done
done
say "$kills kills, $operations operations, $failures failures"
[ "$failures" = 0 ]
