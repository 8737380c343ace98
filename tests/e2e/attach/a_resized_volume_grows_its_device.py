"""The device of an attached volume follows a resize, and the mounted file system grows into it.

Btrfs, since ext4 grows while mounted only for those who have CAP_SYS_RESOURCE, which root in a container often lacks.
"""

import os

from host import MIB, equal, host, noise, read, run, write

with host() as it:
    it.brindle("volume", "create", "db", "--size", "256M")
    where = it.path("mnt")
    device = it.brindle("attach", "db", "--mkfs", "btrfs", "--mount", where).strip()
    write(f"{where}/file", noise(MIB, 1))
    device = it.attachments()["db"]["device"]  # others may have taken the one that it had at first
    said = it.brindle("volume", "resize", "db", "512M")
    equal(said, f"db has 512 MiB now\n{device} has it too\n", "what resize says")
    equal(run("blockdev", "--getsize64", device).strip(), str(512 * MIB), "the device's size")
    equal(it.attachments()["db"]["size"], 512 * MIB, "the list's size")
    run("btrfs", "filesystem", "resize", "max", where)
    write(f"{where}/large", noise(240 * MIB, 2))
    it.refused("attach", "other", "--refresh", says="not attached")
    # Through the API nobody tells the device; and a resize of another volume does not either.
    equal(it.daemon.ask("PATCH", "/v1/volumes/db", {"size": "576M"})[0], 200, "resizing through the API")
    it.brindle("volume", "create", "other", "--size", "16M")
    equal(it.brindle("volume", "resize", "other", "32M"), "other has 32.0 MiB now\n", "what resize says of one that is not attached")
    equal(run("blockdev", "--getsize64", device).strip(), str(512 * MIB), "the device's size")
    it.brindle("attach", "db", "--refresh")
    equal(run("blockdev", "--getsize64", device).strip(), str(576 * MIB), "the device's size")
    equal(it.json("volume", "resize", "db", "640M")["size"], 640 * MIB, "one document")
    equal(run("blockdev", "--getsize64", device).strip(), str(640 * MIB), "the device's size")
    it.brindle("detach", "db")
    it.fsck("db", "btrfs")
    it.brindle("attach", "db", "--mount", where)
    equal(read(f"{where}/large") == noise(240 * MIB, 2), True, "what was written beyond the old end")
    it.daemon.kill()
    it.daemon.start()
    it.brindle("volume", "resize", "db", "704M")
    device = it.attachments()["db"]["device"]
    equal(run("blockdev", "--getsize64", device).strip(), str(704 * MIB), "the device's size after a restart")
    # A user who may not: the volume has its size, and what to do for the device is said.
    os.chmod(it.top, 0o755)
    os.chmod(it.state, 0o777)
    os.chmod(it.daemon.control(), 0o666)
    code, out, err = it.call("volume", "resize", "db", "768M", user=65534, group=65534, extra_groups=[])
    equal((code, err), (0, ""), "a resize by somebody else")
    equal("has not followed" in out and "--refresh" in out, True, f"what it says: {out!r}")
    it.brindle("attach", "db", "--refresh")
    equal(run("blockdev", "--getsize64", device).strip(), str(768 * MIB), "the device's size")
    it.brindle("detach", "db")
