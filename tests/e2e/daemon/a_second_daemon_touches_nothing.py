"""A second daemon on the same pool, or in the same state folder, ends within a second and the first one does not notice."""

import os

from daemon import Daemon, equal, fails, folder


def sockets(state):
    return {name: (os.stat(os.path.join(state, name)).st_ino, os.stat(os.path.join(state, name)).st_ctime_ns)
            for name in ("control.sock", "nbd.sock")}


with folder() as top:
    state = os.path.join(top, "first")
    with Daemon(state, "--pool-size", "256M") as first:
        first.post("/v1/volumes", name="db", size="64M")
        before = sockets(state)
        fails("--state", state, says="another brindled", seconds=1)
        fails("--state", os.path.join(top, "second"), "--pool", os.path.join(state, "pool"), says="another brindled", seconds=1)
        fails("--state", state, "--pool", os.path.join(top, "other"), "--create", says="another brindled", seconds=1)
        equal(os.path.exists(os.path.join(top, "other")), False, "a pool that a refused daemon made")
        equal(os.listdir(os.path.join(top, "second")), [], "the second one's folder")
        equal(sockets(state), before, "the first one's sockets")
        equal([volume["name"] for volume in first.get("/v1/volumes")], ["db"], "volumes")
        for name in before:
            equal(os.stat(os.path.join(state, name)).st_mode & 0o777, 0o660, f"mode of {name}")
        first.stop()
        equal(sorted(os.listdir(state)), ["pool"], "what is left after an end in order")
