#!/bin/bash
# fio verifies what it writes, 32 requests at once, to a device of the kernel's nbd whose daemon is killed, stopped and ended under it. See the script
# that runs in the guest.
set -euo pipefail
# shellcheck source=tools/story.sh
. "$(dirname "$0")/../../tools/story.sh"
here=$(dirname "$(readlink -f "$0")")

command -v qemu-system-x86_64 > /dev/null || { say "skipped: no qemu-system-x86_64" && exit 77; }
fio=$(command -v fio) || { say "skipped: no fio" && exit 77; }
"$here/build" "$programs/guest" || die "the guest could not be built"
begin guest
for program in "$programs/brindled" "$programs/brindle" "$fio"; do "$here/add-program" "$work/tree" "$program"; done
truncate -s 4G "$work/disk"
GUEST_TREE=$work/tree GUEST_DISK=$work/disk "$here/guest" "$programs/guest" "$here/fio_verifies_across_kills.guest.sh"
