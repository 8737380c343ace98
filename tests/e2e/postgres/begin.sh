# begin.sh: what the PostgreSQL stories begin with: a daemon, the volume `db` with ext4, a cluster on it at port 5501.
# shellcheck shell=bash
# shellcheck source=tools/story.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../tools/story.sh"

skip() {
  say "skipped: $*"
  exit 77
}

# expect WHAT ACTUAL EXPECTED
expect() {
  [ "$2" = "$3" ] || die "$1: $2, expected $3"
  say "ok: $1: $2"
}

[ "$(id -u)" = 0 ] || skip "attaching and mounting needs root"
[ -x "$postgres_bin/initdb" ] || skip "no PostgreSQL 15"
[ -c /dev/fuse ] || skip "no /dev/fuse"

# begin_story NAME SCALE: with pgbench's tables at that scale (100,000 accounts each).
begin_story() {
  begin "$1"
  daemon_start
  brindle volume create db --size 8G > /dev/null
  attach db --mkfs ext4
  cluster_create db
  server_start db 5501
  bench 5501 -i -q -s "$2" > "$work/pgbench-init.log" 2>&1 || { cat "$work/pgbench-init.log" >&2 && die "pgbench -i failed"; }
}
