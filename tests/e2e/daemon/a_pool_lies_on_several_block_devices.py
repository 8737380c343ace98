"""One pool on block devices, or on one and a file: taken only when told, as large as they are, and larger when one has grown."""

import contextlib
import os
import subprocess

from daemon import MIB, Daemon, check, equal, fails, folder, skip
from nbd import Client

if os.getuid() != 0:
    skip("loop devices need root")


def losetup(*words):
    return subprocess.run(["losetup", *words], capture_output=True, text=True)


def head(device):
    with open(device, "rb") as file:
        return file.read(2 * MIB)


with folder() as top, contextlib.ExitStack() as cleanup:

    def disk(name, size):
        path = os.path.join(top, name)
        with open(path, "wb") as file:
            file.truncate(size * MIB)
        done = losetup("--find", "--show", path)
        if done.returncode != 0:
            skip("no loop devices here")
        device = done.stdout.strip()
        cleanup.callback(losetup, "--detach", device)
        return device

    one, two, three = disk("one", 100), disk("two", 200), disk("three", 64)
    state = os.path.join(top, "state")
    file = os.path.join(top, "file")

    def pools(*paths):
        return [word for path in paths for word in ("--pool", path)]

    subprocess.run(["mkfs.ext4", "-q", "-F", two], check=True)
    before = head(one), head(two)
    fails("--state", state, *pools(one, two), says="give --create")
    fails("--state", state, *pools(one, two), "--create", says=f"pool {two}: the device carries ext")
    fails("--state", state, *pools(one, two), "--create", "--force", "--pool-size", "1G", says="leave --pool-size out")
    fails("--state", state, *pools(one, two, "/dev/null"), "--create", "--force", says="neither a file nor a block device")
    check((head(one), head(two)) == before, "a refusal changed a device")
    with Daemon(state, *pools(one, two), "--create", "--force") as daemon:
        size = daemon.get("/v1/pool")["size"]
        check(290 * MIB < size <= 298 * MIB, f"size {size}")
        daemon.post("/v1/volumes", name="db", size="150M")
        client = Client(daemon.nbd(), "db")
        for at in range(0, 150 * MIB, MIB):
            client.write(at, at.to_bytes(8, "little") * (MIB // 8))
        client.close()
        daemon.refused("POST", "/v1/pool/grow", {"size": "1G"}, 400, "invalid")
        check(subprocess.run(["mount", two, top], capture_output=True).returncode != 0, "a member was mounted")
        daemon.kill()

    def is_all_there(daemon):
        client = Client(daemon.nbd(), "db")
        for at in range(0, 150 * MIB, MIB):
            check(client.read(at, MIB) == at.to_bytes(8, "little") * (MIB // 8), f"what was written at {at}")
        client.close()

    # A member is never overwritten, alone or among others.
    before = head(one), head(two), head(three)
    for options in (["--create"], ["--create", "--force"]):
        fails("--state", state, *pools(one), *options, says=f"member 2 is missing, which was at {two}")
        fails("--state", state, *pools(two), *options, says=f"member 1 is missing, which was at {one}")
        fails("--state", state, *pools(two, three), *options, says=f"pool {two}: it belongs to a pool, and {three} does not")
    check((head(one), head(two), head(three)) == before, "a refusal changed a device")

    # One of them becomes larger: the pool does too.
    with Daemon(state, *pools(two, one)) as daemon:
        is_all_there(daemon)
        daemon.stop()
    os.truncate(os.path.join(top, "one"), 300 * MIB)
    losetup("--set-capacity", one)
    for _ in range(2):
        with Daemon(state, *pools(two, one)) as daemon:
            check(daemon.get("/v1/pool")["size"] == size + 200 * MIB, f"size after growing: {daemon.get('/v1/pool')['size']}")
            is_all_there(daemon)
            daemon.kill()
    # And one that is cut short is refused.
    losetup("--detach", one)
    os.truncate(os.path.join(top, "one"), 120 * MIB)
    equal(losetup(one, os.path.join(top, "one")).returncode, 0, "losetup")
    fails("--state", state, *pools(two, one), says=f"pool {one}: it was cut short")

    # A block device and a file: the file is what is left of --pool-size, and it alone grows.
    fails("--state", state, *pools(three, file), "--create", "--pool-size", "60M", says="it would give the pool nothing")
    check(not os.path.exists(file), "a refused daemon left a file")
    with Daemon(state, *pools(three, file), "--create", "--pool-size", "160M") as daemon:
        equal(daemon.get("/v1/pool")["size"], 160 * MIB, "size")
        members = {member["path"]: member["size"] for member in daemon.get("/v1/pool")["members"]}
        equal(members, {three: 64 * MIB, file: 98 * MIB}, "members")
        daemon.post("/v1/volumes", name="db", size="150M")
        daemon.post("/v1/pool/grow", size="260M")
        client = Client(daemon.nbd(), "db")
        for at in range(0, 150 * MIB, MIB):
            client.write(at, at.to_bytes(8, "little") * (MIB // 8))
        client.close()
        daemon.kill()
    with Daemon(state, *pools(file, three)) as daemon:
        equal(daemon.get("/v1/pool")["size"], 260 * MIB, "size after growing")
        is_all_there(daemon)
        daemon.stop()
