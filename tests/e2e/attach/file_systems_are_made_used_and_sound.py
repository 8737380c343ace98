"""ext4, XFS and Btrfs are made on attached volumes, hold what is written, and pass their own check afterwards."""

import os

from host import FILE_SYSTEMS, check, equal, host, noise, read, write

with host() as it:
    for kind in FILE_SYSTEMS:
        it.brindle("volume", "create", kind, "--size", "320M")
        where = it.path("mnt", kind)
        device = it.brindle("attach", kind, "--mkfs", kind, "--mount", where).strip()
        check(device.startswith("/dev/loop"), f"no device: {device!r}")
        files = {f"{where}/{number}": noise(200_000 + number * 77_777, number) for number in range(12)}
        for path, data in files.items():
            write(path, data)
        os.makedirs(f"{where}/many")
        for number in range(300):
            with open(f"{where}/many/{number}", "w") as file:
                file.write(f"file {number}")

        entry = it.attachments()[kind]
        equal((entry["device"], entry["mount"], entry["read_only"], entry["size"], entry["connected"]),
              (device, where, False, 320 << 20, True), f"the attachment of {kind}")
        equal(entry["uuid"], it.json("volume", "show", kind)["uuid"], "uuid")
        equal(it.json("volume", "show", kind)["clients"], 1, "clients")

        it.brindle("detach", kind)
        equal(os.path.ismount(where), False, "still mounted")
        equal(it.json("attach"), [], "attachments")
        it.fsck(kind, kind)

        it.brindle("attach", kind, "--mount", where)
        for path, data in files.items():
            equal(read(path) == data, True, f"{path} has its bytes")
        equal(len(os.listdir(f"{where}/many")), 300, "files")
        equal(it.brindle("detach", where), f"{kind}: detached\n", "what detach says of a folder")

    it.refused("attach", "ext4", "--mkfs", "xfs", says="it holds a file system or data already (ext4)")
    it.refused("attach", "ext4", "--mkfs", "ntfs", says="--mkfs", code=2)
    # What has no signature is no less somebody's.
    it.brindle("volume", "create", "database", "--size", "64M")
    device = it.brindle("attach", "database").strip()
    with open(device, "r+b", buffering=0) as disk:
        disk.seek(8 << 20)
        disk.write(b"a row" * 4096)
        os.fsync(disk.fileno())
    it.brindle("detach", "database")
    it.refused("attach", "database", "--mkfs", "ext4", says="no file system: add --force")
    it.brindle("attach", "database", "--mkfs", "ext4", "--force")
    it.brindle("detach", "database")
    it.brindle("attach", "ext4", "--mkfs", "xfs", "--force", "--mount", it.path("mnt", "xfs"))
    it.brindle("detach", "ext4")
    it.fsck("ext4", "xfs")
