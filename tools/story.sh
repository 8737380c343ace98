# story.sh: what the demo and the PostgreSQL tests are made of: a daemon of one's own, attached volumes, servers on them.
# shellcheck shell=bash
#
# Holds:  everything lives under `work`, and `finish` (a trap) takes it away again, however the script ends.
# Needs:  root (attach mounts), the programs in `programs`, PostgreSQL 15 from Debian.

# shellcheck source=tools/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

programs=${BRINDLE_PROGRAMS:-$root/build}
postgres_bin=${POSTGRES_BIN:-/usr/lib/postgresql/15/bin}
work=
daemon_pid=
servers=() # data folders of running servers
mounts=()  # folders that something is mounted on

# begin NAME: the folder, and the promise to clean up.
begin() {
  work=$(mktemp -d "/tmp/brindle-$1.XXXXXX")
  chmod 755 "$work"
  mkdir "$work/mnt" "$work/sockets"
  exec 3>&2 # a step that fails may have its output redirected
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if [ "$(id -u)" = 0 ]; then chown postgres "$work/sockets"; fi
}

finish() {
  local status=$? folder
  trap '' INT TERM HUP
  trap - EXIT
  set +e
  for folder in "${servers[@]}"; do server_stop "$folder" immediate > /dev/null 2>&1; done
  for folder in "${mounts[@]}"; do mountpoint -q "$folder" && timeout 20 umount "$folder" 2> /dev/null; done
  if [ -n "$daemon_pid" ]; then
    timeout 20 "$programs/brindle" --state "$work/state" detach --all > /dev/null 2>&1
    kill -TERM "$daemon_pid" 2> /dev/null
    wait "$daemon_pid" 2> /dev/null
  fi
  exec 2>&3
  if [ "$status" != 0 ] && [ -f "$work/step.log" ]; then cat "$work/step.log" >&2; fi
  if [ "$status" != 0 ] && [ -f "$work/daemon.log" ]; then
    printf 'the end of the daemon'"'"'s log:\n' >&2
    tail -20 "$work/daemon.log" >&2
  fi
  force_unmount
  rm -rf --one-file-system "$work"
  exit "$status"
}

# What `detach` could not take away: mounts and loop devices below `work`, innermost first.
force_unmount() {
  local folder device
  for device in $(losetup -l -n -O NAME,BACK-FILE 2> /dev/null | awk -v work="$work/" 'index($2, work) { print $1 }'); do
    for folder in $(findmnt -rno TARGET -S "$device"); do umount -l "$folder"; done
    losetup -d "$device"
  done
  for folder in $(findmnt -rno TARGET | grep -F "$work/" | sort -r); do umount -l "$folder"; done
}

# --- the daemon --------------------------------------------------------------------------------------------------------

# daemon_start [OPTION...]: returns when it is ready.
daemon_start() {
  local tries
  : > "$work/ready"
  # setsid: Ctrl-C at the terminal is for the script alone, which detaches before it ends the daemon.
  setsid "$programs/brindled" --state "$work/state" "$@" > "$work/ready" 2>> "$work/daemon.log" &
  daemon_pid=$!
  for ((tries = 0; tries < 600; ++tries)); do
    if grep -q '^ready' "$work/ready"; then return 0; fi
    kill -0 "$daemon_pid" 2> /dev/null || break
    sleep 0.02
  done
  die "brindled did not become ready"
}

# daemon_kill: as a crash does.
daemon_kill() {
  kill -KILL "$daemon_pid"
  wait "$daemon_pid" 2> /dev/null || true
}

brindle() { "$programs/brindle" --state "$work/state" "$@"; }

# attach NAME [OPTION...]: mounted on $work/mnt/NAME.
attach() {
  local folder=$work/mnt/$1
  mkdir -p "$folder"
  brindle attach "$1" --mount "$folder" "${@:2}" > /dev/null
  mounts+=("$folder")
}
detach() { brindle detach "$1" > /dev/null; }

# --- PostgreSQL --------------------------------------------------------------------------------------------------------

# A server must not run as root; Debian's package made a user for it.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && exec runuser -u postgres -- env PATH="$postgres_bin:$PATH" "$@")
  else
    PATH="$postgres_bin:$PATH" "$@"
  fi
}

# cluster_create NAME: an empty cluster on the mounted volume.
cluster_create() {
  local data=$work/mnt/$1/data
  mkdir "$data"
  if [ "$(id -u)" = 0 ]; then chown postgres "$data"; fi
  as_postgres initdb -D "$data" --auth=trust --no-locale --encoding=UTF8 --data-checksums -U postgres > "$work/initdb.log" 2>&1 ||
    { cat "$work/initdb.log" >&2 && die "initdb failed"; }
  cat >> "$data/postgresql.conf" << CONF
listen_addresses = ''
unix_socket_directories = '$work/sockets'
shared_buffers = 48MB
max_connections = 30
checkpoint_timeout = 5min
max_wal_size = 256MB
log_min_messages = warning
CONF
  # A snapshot is what a power loss would leave: a file that nobody synced may be in it in part.
  sync -f "$data"
}

# server_start NAME PORT: the cluster on the mounted volume NAME. What a crash or a snapshot left is recovered first.
server_start() {
  local data=$work/mnt/$1/data
  # On a clone or after a rollback it names a server of another disk (or a dead one).
  rm -f "$data/postmaster.pid"
  as_postgres pg_ctl -D "$data" -l "$work/sockets/$1.log" -o "-p $2" -w -t 60 start > "$work/pg_ctl.log" 2>&1 ||
    { cat "$work/pg_ctl.log" "$work/sockets/$1.log" >&2 && die "PostgreSQL on $1 did not start"; }
  servers+=("$data")
}

# server_stop DATA_FOLDER|NAME [MODE]
server_stop() {
  local data=$1
  case $data in /*) ;; *) data=$work/mnt/$1/data ;; esac
  [ -f "$data/postmaster.pid" ] || return 0
  as_postgres pg_ctl -D "$data" -m "${2:-fast}" -w -t 60 stop > /dev/null
}

# sql PORT COMMAND: the bare result.
sql() { as_postgres psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$work/sockets" -p "$1" -U postgres -d postgres -c "$2"; }
bench() { as_postgres pgbench -h "$work/sockets" -U postgres -p "$@" postgres; }
# amcheck PORT: every table and index of every database, heap against index.
amcheck() { as_postgres env PGOPTIONS=--client-min-messages=warning pg_amcheck -h "$work/sockets" -p "$1" -U postgres --all --install-missing --heapallindexed --parent-check; }
