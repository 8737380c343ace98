#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guest: every few seconds the daemon is killed and started again, or stopped for a while, or ended and started. A request that is lost,
# done twice in another order, or answered with an error is found by fio.
set -e
# shellcheck source=tests/guest/daemon.sh
. /daemon.sh

start --create
brindle volume create db --size 256M > /dev/null
device=$(brindle attach db)
[ "$device" = /dev/nbd0 ]
fio --name=blocks --filename="$device" --rw=randwrite --bsrange=4k-64k --iodepth=32 --ioengine=libaio --direct=1 --size=96m \
  --loops=3 --verify=crc32c --verify_fatal=1 --output=/tmp/fio.out --eta=never &
fio=$!
rounds=0
while sleep 2 && kill -0 $fio 2> /dev/null && [ $rounds -lt 25 ]; do
  case $((rounds % 5)) in
    2)
      kill -STOP $daemon
      sleep 5 # longer than the kernel waits before it looks at a request
      kill -CONT $daemon
      ;;
    4)
      end -TERM
      start
      ;;
    *)
      end -KILL
      start
      ;;
  esac
  rounds=$((rounds + 1))
done
status=0
wait $fio || status=$?
echo "fio ended with $status after $rounds kills, stops and ends"
[ $status = 0 ] || { cat /tmp/fio.out && exit 1; }
[ $rounds -ge 5 ]
brindle detach db
brindle check
