"""The device of an attached volume follows a resize, and the mounted file system grows into it.

Btrfs, since ext4 grows while mounted only for those who have CAP_SYS_RESOURCE, which root in a container often lacks.
"""

from host import MIB, equal, host, noise, read, run, write

with host() as it:
    it.brindle("volume", "create", "db", "--size", "256M")
    where = it.path("mnt")
    device = it.brindle("attach", "db", "--mkfs", "btrfs", "--mount", where).strip()
    write(f"{where}/file", noise(MIB, 1))
    it.brindle("volume", "resize", "db", "512M")
    it.brindle("attach", "db", "--refresh")
    device = it.attachments()["db"]["device"]  # others may have taken the one that it had at first
    equal(run("blockdev", "--getsize64", device).strip(), str(512 * MIB), "the device's size")
    equal(it.attachments()["db"]["size"], 512 * MIB, "the list's size")
    run("btrfs", "filesystem", "resize", "max", where)
    write(f"{where}/large", noise(240 * MIB, 2))
    it.refused("attach", "other", "--refresh", says="not attached")
    it.brindle("detach", "db")
    it.fsck("db", "btrfs")
    it.brindle("attach", "db", "--mount", where)
    equal(read(f"{where}/large") == noise(240 * MIB, 2), True, "what was written beyond the old end")
    it.brindle("volume", "resize", "db", "640M")
    it.daemon.kill()
    it.daemon.start()
    it.brindle("attach", "db", "--refresh")
    device = it.attachments()["db"]["device"]
    equal(run("blockdev", "--getsize64", device).strip(), str(640 * MIB), "the device's size after a restart")
    it.brindle("detach", "db")
