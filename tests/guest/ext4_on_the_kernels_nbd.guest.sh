#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guest: Linux's own nbd client over two connections, ext4 on it, files written, read back and checked.
# Arguments: the port and the export.
set -e
/sbin/nbd-client 10.0.2.2 "$1" -N "$2" -connections 2 /dev/nbd0
echo "size $(cat /sys/block/nbd0/size) sectors, cache: $(cat /sys/block/nbd0/queue/write_cache), fua: $(cat /sys/block/nbd0/queue/fua)," \
  "discards up to $(cat /sys/block/nbd0/queue/discard_max_bytes) bytes"
[ "$(cat /sys/block/nbd0/queue/write_cache)" = "write back" ]
[ "$(cat /sys/block/nbd0/queue/fua)" = 1 ]
[ "$(cat /sys/block/nbd0/queue/discard_max_bytes)" -gt 0 ]
/sbin/mke2fs -q -t ext4 /dev/nbd0
mount -t ext4 -o discard /dev/nbd0 /mnt
for file in 1 2 3 4 5 6 7 8; do dd if=/dev/urandom of=/mnt/$file bs=64k count=32 2> /dev/null; done
(cd /mnt && sha256sum 1 2 3 4 5 6 7 8 > sums)
sync
rm /mnt/1 && sync # a discard, and the journal's FUA
umount /mnt
/sbin/e2fsck -fn /dev/nbd0
echo 3 > /proc/sys/vm/drop_caches
mount -t ext4 -o ro /dev/nbd0 /mnt
(cd /mnt && tail -n 7 sums | sha256sum -c)
umount /mnt
/sbin/nbd-client -d /dev/nbd0
