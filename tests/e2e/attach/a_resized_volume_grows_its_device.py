"""The device of an attached volume follows a resize, and the mounted file system grows into it."""

from host import MIB, equal, host, noise, read, run, write

with host() as it:
    it.brindle("volume", "create", "db", "--size", "64M")
    where = it.path("mnt")
    device = it.brindle("attach", "db", "--mkfs", "ext4", "--mount", where).strip()
    write(f"{where}/file", noise(MIB, 1))
    it.brindle("volume", "resize", "db", "256M")
    it.brindle("attach", "db", "--refresh")
    equal(run("blockdev", "--getsize64", device).strip(), str(256 * MIB), "the device's size")
    equal(it.attachments()["db"]["size"], 256 * MIB, "the list's size")
    run("resize2fs", device)
    write(f"{where}/large", noise(100 * MIB, 2))
    it.refused("attach", "other", "--refresh", says="not attached")
    it.brindle("detach", "db")
    it.fsck("db", "ext4")
    it.brindle("attach", "db", "--mount", where)
    equal(read(f"{where}/large") == noise(100 * MIB, 2), True, "what was written beyond the old end")
    it.brindle("volume", "resize", "db", "320M")
    it.daemon.kill()
    it.daemon.start()
    it.brindle("attach", "db", "--refresh")
    equal(run("blockdev", "--getsize64", device).strip(), str(320 * MIB), "the device's size after a restart")
    it.brindle("detach", "db")
