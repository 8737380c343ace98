"""One pool on several files: made, killed, opened in any order; and what does not belong together is named and left alone."""

import contextlib
import os
import random
import shutil

from daemon import MIB, Daemon, Untouched, check, equal, fails, folder
from nbd import Client

with folder() as top:
    state = os.path.join(top, "state")
    a, b, c, other, missing = (os.path.join(top, name) for name in ("a", "b", "c", "other", "missing"))

    def pools(*paths):
        return [word for path in paths for word in ("--pool", path)]

    def sum_of(daemon):
        return daemon.get("/v1/pool")["size"]

    # What cannot be made leaves nothing behind.
    with open(other, "wb") as file:
        file.write(b"mine" * 5000)
    with Untouched(other):
        fails("--state", state, *pools(a, other, b), "--create", says=f"{other}: the file holds something else")
    fails("--state", state, *pools(a, b), says="give --create to make it")
    fails("--state", state, *pools(a, b, a), "--create", says=f"{a}: it is given twice")
    fails("--state", state, *pools(a, b), "--create", "--pool-size", "8M", says="a pool needs at least")
    fails("--state", state, *pools(a, os.path.join(top, "no", "folder")), "--create", says="make its folder first")
    fails("--state", state, *pools(*(f"{top}/m{i}" for i in range(40))), "--create", says="at most 32 devices")
    equal(sorted(os.listdir(top)), ["other", "state"], "what is left")

    # Made, filled, killed; opened in another order.
    rng = random.Random(5)
    content = {}
    with Daemon(state, *pools(a, b, c), "--create", "--pool-size", "300M") as daemon:
        equal(sum_of(daemon), 300 * MIB, "--pool-size is the sum")
        equal([member["path"] for member in daemon.get("/v1/pool")["members"]], [a, b, c], "members")
        daemon.post("/v1/volumes", name="db", size="128M")
        client = Client(daemon.nbd(), "db")
        for at in range(0, 96 * MIB, MIB):
            content[at] = rng.randbytes(MIB)
            client.write(at, content[at])
        daemon.post("/v1/snapshots", names=["db@one"])
        client.flush()
        client.close()
        daemon.kill()
    for path in (a, b, c):
        check(os.stat(path).st_size > 33 * MIB, f"{path} has its share: {os.stat(path).st_size}")

    def is_all_there(daemon):
        client = Client(daemon.nbd(), "db")
        for at, bytes_there in content.items():
            check(client.read(at, MIB) == bytes_there, f"what was written at {at}")
        client.close()

    with Daemon(state, *pools(c, a, b)) as daemon:
        is_all_there(daemon)
        equal([snapshot["name"] for snapshot in daemon.get("/v1/snapshots")], ["db@one"], "snapshots")
        # Another daemon on any of them is refused at once.
        for path in (a, b, c):
            fails("--state", os.path.join(top, "second"), *pools(path), says="another brindled has it open")
        fails("--state", os.path.join(top, "second"), *pools(missing, b), "--create", says="another brindled has it open")
        check(not os.path.exists(missing), "a refused daemon left a file")
        daemon.stop()

    # Not all of them, or too many, or others.
    with Daemon(os.path.join(top, "state2"), "--pool-size", "64M") as daemon:
        daemon.stop()
    whole = os.path.join(top, "state2", "pool")
    with Daemon(state, *pools(f"{top}/x", f"{top}/y"), "--create", "--pool-size", "64M") as daemon:
        daemon.stop()
    copy = os.path.join(top, "copy")
    shutil.copy(b, copy)
    short = os.path.join(top, "short")
    shutil.copy(b, short)
    os.truncate(short, 8 * MIB)
    newer = os.path.join(top, "newer")
    shutil.copy(b, newer)
    with open(newer, "r+b") as file:
        for copy_at in (0, 65536):
            file.seek(copy_at + 8)
            file.write(b"\x02")
    with contextlib.ExitStack() as untouched:
        for path in (a, b, c, whole, copy, short, newer, f"{top}/x", other):
            untouched.enter_context(Untouched(path))
        for paths, says in [
            ([a], f"pool {a}: it is member 1 of 3 of a pool, and member 2 is missing, which was at {b}"),
            ([c, a], f"member 2 is missing, which was at {b}"),
            ([a, b, c, missing], "there is no such file"),
            ([a, b, c, copy], f"pool {copy}: it is member 2 of 3, as {b} is"),
            ([a, f"{top}/x", b, c], f"pool {top}/x: it belongs to pool"),
            ([a, b, whole], f"pool {whole}: it is a pool of its own"),
            ([a, b, c, other], f"pool {other}: the file holds something else"),
            ([a, short, c], f"are left (what is missing was on {short})"),
            ([a, newer, c], f"pool {newer}: it has format version 2"),
            ([newer], "it has format version 2"),
            ([a, b, b], f"pool {b}: it is given twice"),
        ]:
            for options in ([], ["--create"], ["--create", "--force"]):
                wanted = f"and {missing} does not" if options and missing in paths else says
                fails("--state", state, *pools(*paths), *options, says=wanted)
        fails("--state", state, *pools(a, b, c), "--pool-size", "200M", says="a pool does not shrink")
    check(not os.path.exists(missing), "a refused daemon left a file")

    # It grows, in all of them, and knows it after a kill.
    with Daemon(state, *pools(b, c, a), "--create", "--pool-size", "300M") as daemon:
        is_all_there(daemon)
        daemon.post("/v1/pool/grow", size="400M")
        equal(sum_of(daemon), 400 * MIB, "size after growing")
        daemon.refused("POST", "/v1/pool/grow", {"size": "399M"}, 400, "invalid")
        daemon.kill()
    with Daemon(state, *pools(a, c, b), "--pool-size", "500M") as daemon:
        equal(sum_of(daemon), 500 * MIB, "size after growing at the start")
        daemon.kill()
    with Untouched(a), Untouched(c):
        fails("--state", state, *pools(a, b, c), "--pool-size", "499M", says="a pool does not shrink")
    with Daemon(state, *pools(a, b, c)) as daemon:
        equal(sum_of(daemon), 500 * MIB, "size after the kill")
        is_all_there(daemon)
        client = Client(daemon.nbd(), "db")
        for at in range(96 * MIB, 128 * MIB, MIB):
            content[at] = rng.randbytes(MIB)
            client.write(at, content[at])
        client.close()
        for job in ("check", "scrub"):
            daemon.post(f"/v1/{job}")
            while daemon.get(f"/v1/{job}")["running"]:
                pass
            equal((daemon.get(f"/v1/{job}")["damage"], daemon.get(f"/v1/{job}")["error"]), ([], ""), job)
        daemon.stop()

    # A label has two copies; the next start writes one anew that is gone.
    with open(b, "r+b") as file:
        file.write(bytes(4096))
    with Daemon(state, *pools(a, b, c)) as daemon:
        is_all_there(daemon)
        check("labels" in daemon.text(), daemon.text())
        daemon.stop()
    with open(b, "rb") as file:
        equal(file.read(8), b"BRINDLE1", "the label's first copy")
