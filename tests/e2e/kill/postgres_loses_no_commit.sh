#!/bin/bash
# The daemon is killed in a loop while pgbench commits, and sees no error. Every acknowledged commit is there: in the running server
# after each round, and at the end in a clone, which has what the pool holds and no cache.
#   postgres_loses_no_commit.sh [--seconds N] [--seed N]
# The last line is `N kills, N operations, N failures`.
# shellcheck disable=SC2119  # daemon_start takes options, and none are given here
set -euo pipefail
# shellcheck source=tests/e2e/postgres/begin.sh
. "$(dirname "$0")/../postgres/begin.sh"

seconds=6 seed=$RANDOM kills=0 operations=0
options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --seconds) seconds=${2%.*} && shift 2 ;;
      --seed) seed=$2 && shift 2 ;;
      *) die "unknown option $1" ;;
    esac
  done
}
options "$@"
RANDOM=$seed

begin_story kill-loop 1
tell() {
  local status=$?
  printf '%s kills, %s operations, %s failures\n' "$kills" "$operations" "$((status != 0))"
  (exit "$status")
  finish
}
trap tell EXIT

sql 5501 'CREATE TABLE commits (client int, n bigserial, at timestamptz DEFAULT now())'
printf 'INSERT INTO commits (client) VALUES (:client_id);\n' > "$work/commit.sql"
chmod 644 "$work/commit.sql"

# round SECONDS: pgbench commits (and runs its own transactions) that long, and the daemon dies as often as it can meanwhile.
round() {
  local load own acknowledged
  rm -rf "$work/acks" && mkdir "$work/acks" && chown postgres "$work/acks"
  sql 5501 'TRUNCATE commits'
  # pgbench writes one line for each transaction that the server acknowledged.
  bench 5501 -n -c 4 -T "$1" -f "$work/commit.sql" -l --log-prefix="$work/acks/ack" > "$work/pgbench.log" 2>&1 &
  load=$!
  bench 5501 -n -c 1 -T "$1" > "$work/pgbench-own.log" 2>&1 &
  own=$!
  while kill -0 "$load" 2> /dev/null; do
    sleep "$((RANDOM % 2)).$((RANDOM % 10))"
    daemon_kill
    kills=$((kills + 1))
    sleep "0.$((RANDOM % 4))"
    daemon_start
  done
  wait "$load" || die "pgbench failed: $(cat "$work/pgbench.log")"
  wait "$own" || die "pgbench failed: $(cat "$work/pgbench-own.log")"
  acknowledged=$(cat "$work"/acks/ack.* | wc -l)
  operations=$((operations + acknowledged))
  expect "commits in the server" "$(sql 5501 'SELECT count(*) FROM commits')" "$acknowledged"
}

begun=$SECONDS
while
  left=$((seconds - (SECONDS - begun)))
  round "$((left > 30 ? 30 : left > 4 ? left : 4))"
  [ "$((SECONDS - begun))" -lt "$seconds" ]
do :; done
amcheck 5501

# Nothing is asked of the running server any more.
commits=$(sql 5501 'SELECT count(*) FROM commits')
brindle snapshot create db@end > /dev/null
daemon_kill
kills=$((kills + 1))
daemon_start
brindle clone db@end copy > /dev/null
attach copy
server_start copy 5531
expect "commits in the clone" "$(sql 5531 'SELECT count(*) FROM commits')" "$commits"
expect "sums agree" "$(sql 5531 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = coalesce((SELECT sum(delta) FROM pgbench_history), 0)')" t
amcheck 5531
for name in copy db; do
  server_stop "$name"
  detach "$name"
done
brindle check || die "check found damage"
