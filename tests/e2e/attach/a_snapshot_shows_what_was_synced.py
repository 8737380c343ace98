"""A snapshot of a mounted file system is mounted read-only beside it, shows all that was synced before it and nothing later,
and is not changed by that, though its journal had to be replayed."""

import hashlib
import os

from host import FILE_SYSTEMS, check, equal, host, noise, read, run, write


def digest(it, name):
    """Of all its bytes, by way of an image, which passes over holes."""
    image = it.path("image")
    it.brindle("export", name, image, "--force")
    return hashlib.sha256(read(image)).hexdigest()


with host() as it:
    for kind in FILE_SYSTEMS:
        it.brindle("volume", "create", kind, "--size", "320M")
        live, frozen = it.path("live", kind), it.path("frozen", kind)
        it.brindle("attach", kind, "--mkfs", kind, "--mount", live)
        before = noise(1_500_000, 1)
        write(f"{live}/before", before)
        folder = os.open(live, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        snapshot = f"{kind}@now"
        it.brindle("snapshot", "create", snapshot)
        write(f"{live}/after", noise(500_000, 2))
        write(f"{live}/before", noise(1_500_000, 3))

        device = it.brindle("attach", snapshot).strip()
        equal(run("blockdev", "--getro", device).strip(), "1", f"{kind}: the device is read-only")
        try:
            write(device, b"x")
            raise AssertionError("a snapshot's device was written to")
        except OSError:
            pass
        it.brindle("detach", snapshot)
        at_first = digest(it, snapshot)

        device = it.brindle("attach", snapshot, "--mount", frozen).strip()
        equal(sorted(set(os.listdir(frozen)) - {"lost+found"}), ["before"], f"{kind}: files in the snapshot")
        equal(read(f"{frozen}/before") == before, True, f"{kind}: the snapshot has the bytes of its moment")
        equal(run("blockdev", "--getro", device).strip(), "1", f"{kind}: the mounted device is read-only")
        try:
            write(f"{frozen}/new", b"x")
            raise AssertionError("a snapshot was written to")
        except OSError as error:
            check(error.errno == 30, f"{kind}: {error}")
        entry = it.attachments()[snapshot]
        equal((entry["read_only"], entry["mount"]), (True, frozen), f"{kind}: the attachment")
        it.brindle("detach", snapshot)

        equal(digest(it, snapshot), at_first, f"{kind}: the snapshot after it was mounted")
        it.brindle("detach", kind)
    it.refused("attach", "ext4@now", "--mkfs", "ext4", says="clone it")
