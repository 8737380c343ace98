#!/bin/bash
# A snapshot taken while pgbench runs is a database: each clone of it starts, holds every commit that was acknowledged before
# the snapshot, and is sound to pg_amcheck. The clones go their own ways, and the original never notices.
set -euo pipefail
# shellcheck source=tests/e2e/postgres/begin.sh
. "$(dirname "$0")/begin.sh"
begin_story snapshots 5

bench 5501 -c 4 -T 9 > "$work/pgbench.log" 2>&1 &
load=$!
sleep 2
before=$(sql 5501 'SELECT count(*) FROM pgbench_history')
brindle snapshot create db@now > /dev/null
after=$(sql 5501 'SELECT count(*) FROM pgbench_history')
brindle clone db@now one two > /dev/null
brindle clone db live > /dev/null # of the running volume itself

port=5510
for clone in one two live; do
  port=$((port + 1))
  attach "$clone"
  server_start "$clone" "$port"
  amcheck "$port" || die "$clone: pg_amcheck found damage"
  say "ok: $clone is sound"
done
for port in 5511 5512; do
  rows=$(sql "$port" 'SELECT count(*) FROM pgbench_history')
  # What was acknowledged before the command is in it; what began after it returned is not.
  [ "$rows" -ge "$before" ] && [ "$rows" -le $((after + 4)) ] || die "a clone has $rows commits; there were $before, then $after"
done
say "ok: the clones hold $rows commits; $before were acknowledged before the snapshot, $after after it"

sql 5511 'DROP TABLE pgbench_accounts'
expect "accounts of the other clone" "$(sql 5512 'SELECT count(*) FROM pgbench_accounts')" 500000
bench 5512 -n -c 2 -t 100 > /dev/null 2>&1
amcheck 5512
wait "$load" || die "pgbench failed: $(cat "$work/pgbench.log")"
amcheck 5501
expect "accounts of the original" "$(sql 5501 'SELECT count(*) FROM pgbench_accounts')" 500000
expect "sums agree" "$(sql 5501 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)')" t
