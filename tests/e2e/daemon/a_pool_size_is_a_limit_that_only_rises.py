"""--pool-size limits a new pool, raises an old one's limit, and never shrinks one."""

import os

from daemon import Daemon, Untouched, equal, fails, folder


def size(daemon):
    return daemon.get("/v1/pool")["size"] >> 20


with folder() as state:
    pool = os.path.join(state, "pool")
    with Daemon(state, "--pool-size", "256M") as daemon:
        equal(size(daemon), 256, "size")
        daemon.stop()
    with Untouched(pool):
        fails("--state", state, "--pool-size", "128M", says="a pool does not shrink")
    for options, expected in [([], 256), (["--pool-size", "256M"], 256), (["--pool-size", "512M"], 512), ([], 512)]:
        with Daemon(state, *options) as daemon:
            equal(size(daemon), expected, f"size with {options}")
            daemon.stop()
    with Daemon(state) as daemon:
        daemon.post("/v1/pool/grow", size="1G")
        equal(size(daemon), 1024, "size after growing")
        daemon.refused("POST", "/v1/pool/grow", {"size": "512M"}, 400, "invalid")
        daemon.refused("POST", "/v1/pool/grow", {"size": 4097}, 400, "invalid")
        daemon.kill()
    with Daemon(state) as daemon:
        equal(size(daemon), 1024, "size after the kill")
        daemon.stop()
