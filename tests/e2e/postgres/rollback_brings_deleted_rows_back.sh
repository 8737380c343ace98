#!/bin/bash
# A wrong DELETE is undone by a rollback, what the volume held before is kept as a snapshot of its own, and newer snapshots live on.
set -euo pipefail
# shellcheck source=tests/e2e/postgres/begin.sh
. "$(dirname "$0")/begin.sh"
begin_story rollback 2

bench 5501 -n -c 2 -t 500 > /dev/null 2>&1
history=$(sql 5501 'SELECT count(*) FROM pgbench_history')
brindle snapshot create db@before > /dev/null
sql 5501 'DELETE FROM pgbench_history; DELETE FROM pgbench_accounts'
brindle snapshot create db@newer > /dev/null
expect "accounts after the DELETE" "$(sql 5501 'SELECT count(*) FROM pgbench_accounts')" 0

refused=0
brindle rollback db@before > /dev/null 2> "$work/refusal" || refused=$?
expect "exit of a rollback under a mounted volume" "$refused" 1
grep -q '^brindle: ' "$work/refusal" || die "the refusal says: $(cat "$work/refusal")"

server_stop db
detach db
brindle rollback db@before > /dev/null
attach db
server_start db 5501
expect "accounts after the rollback" "$(sql 5501 'SELECT count(*) FROM pgbench_accounts')" 200000
expect "history after the rollback" "$(sql 5501 'SELECT count(*) FROM pgbench_history')" "$history"
amcheck 5501

brindle clone db@newer newer > /dev/null
brindle clone db@before-rollback-1 undone > /dev/null
port=5520
for clone in newer undone; do
  port=$((port + 1))
  attach "$clone"
  server_start "$clone" "$port"
  expect "accounts in $clone" "$(sql "$port" 'SELECT count(*) FROM pgbench_accounts')" 0
  amcheck "$port"
done
