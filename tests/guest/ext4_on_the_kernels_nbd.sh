#!/bin/bash
# The Linux kernel's own NBD client, in a guest, makes an ext4 on a volume over TCP, writes, reads back, and e2fsck is content; the
# verifier too, and a snapshot of the volume can be read by the same kernel and not written.
set -euo pipefail
# shellcheck source=tools/story.sh
. "$(dirname "$0")/../../tools/story.sh"
here=$(dirname "$(readlink -f "$0")")

command -v qemu-system-x86_64 > /dev/null || { say "skipped: no qemu-system-x86_64" && exit 77; }
"$here/build" "$programs/guest" || die "the guest could not be built"
begin guest
port=$((20000 + RANDOM % 20000))
daemon_start --nbd "127.0.0.1:$port"
brindle volume create db --size 2G > /dev/null
"$here/guest" "$programs/guest" "$here/ext4_on_the_kernels_nbd.guest.sh" "$port" db
brindle snapshot create db@after > /dev/null
"$here/guest" "$programs/guest" "$here/snapshot_is_read_only.guest.sh" "$port" db@after
brindle sync > /dev/null
brindle check
