#!/bin/bash
# The daemon is killed three times while pgbench commits. The attached volume waits for the next daemon and goes on; afterwards every
# acknowledged commit is there: in the running server, and on a clone, which sees what the pool holds and no cache.
set -euo pipefail
# shellcheck source=tests/e2e/postgres/begin.sh
. "$(dirname "$0")/begin.sh"
begin_story kill 2

sql 5501 'CREATE TABLE commits (client int, n bigserial, at timestamptz DEFAULT now())'
printf 'INSERT INTO commits (client) VALUES (:client_id);\n' > "$work/commit.sql"
chmod 644 "$work/commit.sql"
mkdir "$work/acks" && chown postgres "$work/acks"
# pgbench writes one line for each transaction that the server acknowledged.
bench 5501 -n -c 4 -T 11 -f "$work/commit.sql" -l --log-prefix="$work/acks/ack" > "$work/pgbench.log" 2>&1 &
load=$!

for kill in 1 2 3; do
  sleep 2
  daemon_kill
  sleep 0.3
  daemon_start
  say "ok: killed and started again ($kill); committed so far: $(sql 5501 'SELECT count(*) FROM commits')"
done
brindle snapshot create db@running > /dev/null
wait "$load" || die "pgbench failed: $(cat "$work/pgbench.log")"
acknowledged=$(cat "$work"/acks/ack.* | wc -l)
[ "$acknowledged" -gt 100 ] || die "only $acknowledged commits were acknowledged"
expect "commits in the server" "$(sql 5501 'SELECT count(*) FROM commits')" "$acknowledged"
amcheck 5501

# Once more, and now nothing is asked of the running server: the clone is what the pool has.
brindle snapshot create db@end > /dev/null
daemon_kill
daemon_start
brindle clone db@end copy > /dev/null
brindle clone db@running middle > /dev/null
attach copy
server_start copy 5531
expect "commits in the clone" "$(sql 5531 'SELECT count(*) FROM commits')" "$acknowledged"
amcheck 5531
attach middle
server_start middle 5532
amcheck 5532

for name in copy middle db; do
  server_stop "$name"
  detach "$name"
done
brindle check || die "check found damage"
