#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guest, after ext4_on_the_kernels_nbd: the snapshot mounts, its files are whole, and nothing can be written.
set -e
/sbin/nbd-client 10.0.2.2 "$1" -N "$2" /dev/nbd0
[ "$(cat /sys/block/nbd0/ro)" = 1 ]
mount -t ext4 -o ro /dev/nbd0 /mnt
(cd /mnt && tail -n 7 sums | sha256sum -c)
umount /mnt
if dd if=/dev/zero of=/dev/nbd0 bs=4k count=1 conv=fsync 2> /dev/null; then
  echo "a snapshot was written"
  exit 1
fi
/sbin/nbd-client -d /dev/nbd0
