#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guest: attach chooses nbd by itself; a writer goes on when the daemon is killed and started again, and all that it was
# promised is there; a snapshot is read-only; a resize arrives; detach refuses what is in use, and leaves nothing behind.
set -e
# shellcheck source=tests/guest/daemon.sh
. /daemon.sh
is() { [ "$2" = "$3" ] || fail "$1: $2 instead of $3"; }
# What `brindle attach` lists of $1: the value of the key $2.
listed() { brindle --json attach | tr -d '\n' | tr '{' '\n' | grep "\"name\": *\"$1\"" | sed 's/.*"'"$2"'": *"\{0,1\}\([^",} ]*\).*/\1/'; }
until_is() {
  for _ in $(seq 200); do
    [ "$(listed "$1" "$2")" = "$3" ] && return 0
    sleep 0.1
  done
  fail "$1: $2 is $(listed "$1" "$2") and does not become $3"
}
backends() { cat /sys/block/nbd*/backend 2> /dev/null | wc -l; }
refused() {
  if brindle detach "$1" > /dev/null 2> /tmp/refused; then fail "detach did not refuse: $2"; fi
  grep -q "$2" /tmp/refused || fail "it says otherwise: $(cat /tmp/refused)"
}

# Files on the mounted volume; what is durable is noted elsewhere.
writer() {
  n=0
  while [ ! -f /tmp/stop ]; do
    dd if=/dev/urandom of=/mnt/w.$n bs=16k count=8 conv=fsync 2> /dev/null || { echo "a write failed" > /tmp/broken && return; }
    (cd /mnt && sha256sum w.$n) >> /tmp/sums
    n=$((n + 1))
    echo $n > /tmp/count
  done
}
goes_on() {
  local before
  before=$(cat /tmp/count)
  for _ in $(seq 600); do
    [ ! -f /tmp/broken ] || fail "$1: the writer saw an error"
    [ "$(cat /tmp/count || echo 0)" -gt $((before + 2)) ] && return 0
    sleep 0.1
  done
  fail "$1: the writer does not go on"
}

start --create
brindle volume create db --size 512M > /dev/null
device=$(brindle attach db --mkfs ext4 --mount /mnt)
echo "attached as $device, in-flight requests are looked at every $(cat /sys/block/nbd0/queue/io_timeout) ms"
is "the device" "$device" /dev/nbd0
is "the driver" "$(listed db driver)" nbd
is "the cache" "$(cat /sys/block/nbd0/queue/write_cache)" "write back"
is "FUA" "$(cat /sys/block/nbd0/queue/fua)" 1
is "the sectors" "$(cat /sys/block/nbd0/queue/logical_block_size)" 512

echo "--- a daemon that is killed under a writer"
echo 0 > /tmp/count
writer &
writing=$!
goes_on "at first"
for round in 1 2 3 4; do
  end -KILL
  until_is db connected false
  before=$(cat /tmp/count)
  sleep 2
  is "files written without a daemon in round $round" "$(($(cat /tmp/count) - before))" 0
  if [ $round = 2 ]; then refused db "the daemon is away"; fi
  start
  began=$(cut -d. -f1 /proc/uptime)
  goes_on "after kill -9"
  echo "round $round: goes on within $(($(cut -d. -f1 /proc/uptime) - began)) s"
done
end -TERM
start
goes_on "after SIGTERM"
brindle volume rename db db2 > /dev/null
brindle volume create db --size 64M > /dev/null
end -KILL
start
goes_on "under another name"
keeper=$(listed db2 pid)
kill -KILL "$keeper"
goes_on "without its process"
refused db2 "its process was killed"
brindle attach db2 > /dev/null
until_is db2 connected true
end -KILL
start
goes_on "with another process"
[ "$(listed db2 pid)" != "$keeper" ] || fail "the same process"
sleep 1000 > /mnt/held &
holding=$!
refused db2 "in use by"
kill $holding
touch /tmp/stop
wait $writing
echo "$(cat /tmp/count) files"
(cd /mnt && sha256sum -c /tmp/sums > /tmp/checked) || fail "files differ: $(grep -v OK /tmp/checked)"

echo "--- snapshots"
brindle snapshot create db2@s > /dev/null
is "the snapshot's device" "$(brindle attach db2@s)" /dev/nbd1
is "read-only" "$(cat /sys/block/nbd1/ro)" 1
if dd if=/dev/zero of=/dev/nbd1 bs=4k count=1 conv=fsync 2> /dev/null; then fail "a snapshot was written"; fi
brindle detach db2@s > /dev/null
mkdir /tmp/snapshot
brindle attach db2@s --mount /tmp/snapshot > /dev/null
is "a mounted snapshot's driver" "$(listed db2@s driver)" loop # its journal is replayed
(cd /tmp/snapshot && sha256sum -c /tmp/sums > /tmp/checked) || fail "the snapshot's files differ"
brindle detach db2@s > /dev/null

echo "--- a resize"
brindle volume resize db2 768M > /dev/null
is "sectors after the resize" "$(cat /sys/block/nbd0/size)" $((768 * 2048))

echo "--- unmounted, checked, and gone"
brindle detach db2 > /dev/null
is "devices after detach" "$(backends)" 0
device=$(brindle attach db2)
/sbin/e2fsck -fn "$device" || fail "e2fsck"
brindle attach db --driver loop --mkfs ext4 --mount /tmp/snapshot > /dev/null
is "as told" "$(listed db driver)" loop
dd if=/dev/urandom of=/tmp/snapshot/file bs=64k count=32 conv=fsync 2> /dev/null
brindle attach
brindle detach --all
is "the list" "$(brindle attach)" "nothing is attached"
is "devices after detach --all" "$(backends)" 0

echo "--- by force, without a daemon"
brindle attach db2 --mount /mnt > /dev/null
end -KILL
(echo more > /mnt/more && sync) &
sleep 1
brindle detach db2 --force > /dev/null || fail "detach --force"
is "devices after detach --force" "$(backends)" 0
is "mounts" "$(grep -c /mnt /proc/mounts)" 0
start
brindle sync > /dev/null
brindle check
end -TERM
