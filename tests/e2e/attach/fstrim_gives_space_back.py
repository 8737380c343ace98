"""Deleted files' space comes back to the pool through fstrim, and through a discard of the whole device."""

import time

from host import FILE_SYSTEMS, MIB, check, host, noise, run, write

with host() as it:
    for kind in FILE_SYSTEMS:
        it.brindle("volume", "create", kind, "--size", "320M")
        where = it.path("mnt", kind)
        device = it.brindle("attach", kind, "--mkfs", kind, "--mount", where).strip()
        run("sync", "-f", where)
        empty = it.used()
        write(f"{where}/big", noise(48 * MIB, 1))
        run("sync", "-f", where)
        full = it.used()
        check(full > empty + 47 * MIB, f"{kind}: {empty} bytes before, {full} with 48 MiB more")
        run("rm", f"{where}/big")
        run("sync", "-f", where)
        # XFS frees what a deleted file held in the background, some time after the sync.
        for _ in range(50):
            run("fstrim", where)
            trimmed = it.used()
            if trimmed < empty + 4 * MIB:
                break
            time.sleep(0.1)
        check(trimmed < empty + 4 * MIB, f"{kind}: {empty} bytes before, {full} with 48 MiB more, {trimmed} after fstrim")
        run("umount", where)
        run("blkdiscard", "-f", device)
        discarded = it.used()
        check(discarded < 2 * MIB, f"{kind}: {discarded} bytes after a discard of all")
        check(not any(open(device, "rb").read(4 * MIB)), f"{kind}: a discarded device reads as zeroes")
        it.brindle("detach", kind)
