"""A clone of a mounted volume has the same file system UUID, and is mounted and written beside it all the same."""

from host import FILE_SYSTEMS, equal, host, noise, read, write

with host() as it:
    for kind in FILE_SYSTEMS:
        it.brindle("volume", "create", kind, "--size", "320M")
        one, two = it.path("one", kind), it.path("two", kind)
        it.brindle("attach", kind, "--mkfs", kind, "--mount", one)
        shared = noise(700_000, 1)
        write(f"{one}/shared", shared)
        it.brindle("clone", kind, f"{kind}-copy")
        it.brindle("attach", f"{kind}-copy", "--mount", two)
        equal(read(f"{two}/shared") == shared, True, f"{kind}: the clone has the bytes")
        write(f"{one}/mine", b"one")
        write(f"{two}/mine", b"two")
        equal((read(f"{one}/mine"), read(f"{two}/mine")), (b"one", b"two"), f"{kind}: each has its own")
        equal(sorted(it.attachments()), [kind, f"{kind}-copy"], "attachments")
        it.brindle("detach", "--all")
        equal(it.attachments(), {}, "attachments after detach --all")
        it.fsck(kind, kind)
        it.fsck(f"{kind}-copy", kind)
