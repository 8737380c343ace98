"""After kill -9 the next daemon starts on the same folder at once, and everything that was answered is there."""

import os

from daemon import Daemon, equal, fails, folder

with folder() as state:
    daemon = Daemon(state, "--pool-size", "256M")
    for round_number in range(5):
        with daemon:
            names = [volume["name"] for volume in daemon.get("/v1/volumes")]
            equal(names, [f"v{i}" for i in range(round_number)], "volumes after the kill")
            equal(len(daemon.get("/v1/snapshots")), round_number, "snapshots after the kill")
            daemon.post("/v1/volumes", name=f"v{round_number}", size="16M")
            daemon.post("/v1/snapshots", names=[f"v{round_number}@s"])
            daemon.kill()
        for socket in ("control.sock", "nbd.sock"):
            equal(os.path.exists(os.path.join(state, socket)), True, f"a stale {socket}")

    # What lies in a socket's place and is none is somebody's file.
    os.unlink(os.path.join(state, "control.sock"))
    with open(os.path.join(state, "control.sock"), "w") as file:
        file.write("precious")
    fails("--state", state, says="no socket")
    with open(os.path.join(state, "control.sock")) as file:
        equal(file.read(), "precious", "the file in the socket's place")
