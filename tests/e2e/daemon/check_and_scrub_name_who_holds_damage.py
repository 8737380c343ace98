"""A damaged block: reads of it fail, check and scrub name all who hold it, and everything else goes on."""

import os
import time

from daemon import Daemon, check, equal, folder
from nbd import READ, Client

BLOCK = 4096


def run_job(daemon, what):
    status, job = daemon.ask("POST", f"/v1/{what}")
    equal(status, 202, f"starting {what}")
    while (job := daemon.get(f"/v1/{what}"))["running"]:
        time.sleep(0.02)
    equal(job["error"], "", f"the error of {what}")
    return job


with folder() as state:
    daemon = Daemon(state, "--pool-size", "256M")
    with daemon:
        daemon.post("/v1/volumes", name="db", size="16M")
        client = Client(daemon.nbd(), "db")
        for i in range(64):
            client.write(i * BLOCK, (b"block %06d\n" % i * 400)[:BLOCK])
        daemon.post("/v1/snapshots", names=["db@s"])
        daemon.post("/v1/clones", source="db@s", names=["dev"])
        client.write(3 * BLOCK, b"other data" * 409 + b"123456")
        client.close()
        for what in ("check", "scrub"):
            equal(run_job(daemon, what)["damage"], [], f"damage that {what} finds in a sound pool")
        status, _ = daemon.ask("DELETE", "/v1/scrub")
        equal(status, 200, "ending a scrub that does not run")
        daemon.stop()

    with open(os.path.join(state, "pool"), "r+b") as pool:
        at = pool.read().index(b"block 000005\nblock 000005")
        pool.seek(at + 100)
        pool.write(b"!")
    with daemon:
        client = Client(daemon.nbd(), "db")
        client.send(READ, 5 * BLOCK, BLOCK)
        equal(client.reply()[1], 5, "error of reading the damaged block")
        check(client.read(6 * BLOCK, BLOCK).startswith(b"block 000006"), "its neighbour")
        client.write(0, bytes(BLOCK))
        expected = [{"volume": name, "offset": 5 * BLOCK, "length": BLOCK, "kind": "checksum"} for name in ("db", "db@s", "dev")]
        for what in ("check", "scrub"):
            found = sorted(run_job(daemon, what)["damage"], key=lambda one: one["volume"])
            equal(found, expected, f"damage that {what} finds")
        client.write(5 * BLOCK, bytes(BLOCK))
        equal([one["volume"] for one in run_job(daemon, "check")["damage"]], ["db@s", "dev"], "who holds it after a new write")
        daemon.stop()
