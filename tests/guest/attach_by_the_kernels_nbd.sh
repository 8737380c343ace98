#!/bin/bash
# `brindle attach` where the kernel has nbd: daemon and command line run in a guest, on a disk of its own. See the script that runs there.
set -euo pipefail
# shellcheck source=tools/story.sh
. "$(dirname "$0")/../../tools/story.sh"
here=$(dirname "$(readlink -f "$0")")

command -v qemu-system-x86_64 > /dev/null || { say "skipped: no qemu-system-x86_64" && exit 77; }
"$here/build" "$programs/guest" || die "the guest could not be built"
begin guest
for program in brindled brindle; do "$here/add-program" "$work/tree" "$programs/$program"; done
truncate -s 4G "$work/disk"
GUEST_TREE=$work/tree GUEST_DISK=$work/disk "$here/guest" "$programs/guest" "$here/attach_by_the_kernels_nbd.guest.sh"
