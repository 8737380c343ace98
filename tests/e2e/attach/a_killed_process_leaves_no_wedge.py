"""A serving process that was killed, or a daemon that does not come back, can be cleaned away; the volume is sound."""

import os
import signal
import time

from host import check, equal, host, read, write


def dirty(path):
    """Writes without waiting for them."""
    with open(path, "wb") as file:
        file.write(os.urandom(2_000_000))


def kill_and_wait(it, pid):
    """A process takes a moment to die, in which the volume is still attached."""
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while it.json("attach")[0]["pid"] is not None:
        check(time.monotonic() < until, "the list does not tell that the process is dead")


with host() as it:
    it.brindle("volume", "create", "db", "--size", "64M")
    where = it.path("mnt")
    entry = it.json("attach", "db", "--mkfs", "ext4", "--mount", where)
    write(f"{where}/synced", b"kept")
    dirty(f"{where}/unsynced")
    os.kill(entry["pid"], signal.SIGTERM)
    time.sleep(0.2)
    write(f"{where}/more", b"SIGTERM does not end what is in use")

    kill_and_wait(it, entry["pid"])
    equal(it.json("attach")[0]["connected"], False, "connected")
    it.brindle("detach", "db")
    equal((it.json("attach"), os.path.ismount(where)), ([], False), "after the clean-up")

    it.json("attach", "db", "--mount", where)
    equal((read(f"{where}/synced"), read(f"{where}/more")), (b"kept", b"SIGTERM does not end what is in use"), "what was synced")
    kill_and_wait(it, it.json("attach")[0]["pid"])
    it.json("attach", "db", "--mount", where)
    equal(read(f"{where}/synced"), b"kept", "attached again over the remains")

    dirty(f"{where}/unsynced")
    it.daemon.kill()
    until = time.monotonic() + 20
    while it.json("attach")[0]["connected"]:
        check(time.monotonic() < until, "the attachment does not notice that the daemon is away")
    it.brindle("detach", "db", "--force")
    equal((it.json("attach"), os.path.ismount(where)), ([], False), "after a detach by force")
    it.daemon.start()
    it.brindle("attach", "db", "--mount", where)
    equal(read(f"{where}/synced"), b"kept", "what was synced")
    it.brindle("detach", "db")
    it.fsck("db", "ext4")
    equal(os.listdir(os.path.join(it.state, "attach")), [], "what is left in the state folder")
