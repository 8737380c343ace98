"""Writes acknowledged from staging memory are there after a kill, whether the next daemon stages or not; the memory is given back in
the end; where it was lost the daemon says so; and a folder that a power loss would not empty is refused."""

import json
import os
import shutil
import subprocess
import time

from daemon import Daemon, check, equal, fails, folder
from nbd import FLUSH, WRITE, Client

BLOCK = 4096
SHM = "/dev/shm"

if not os.path.isdir(SHM) or not os.access(SHM, os.W_OK):
    print("skipped: no /dev/shm")
    raise SystemExit(77)


def content(block, round_number):
    return (block.to_bytes(8, "little") + round_number.to_bytes(8, "little")) * (BLOCK // 16)


def offline_check(state):
    """A pool stays busy for a moment after its daemon was killed."""
    command = [os.environ.get("BRINDLE", "build/brindle"), "--json", "check", "--offline", os.path.join(state, "pool")]
    until = time.monotonic() + 20
    while True:
        done = subprocess.run(command, capture_output=True, timeout=60)
        if done.returncode == 0:
            return json.loads(done.stdout)
        check(time.monotonic() < until, f"check --offline: {done.stderr}")
        time.sleep(0.1)


with folder() as state:
    staging = os.path.join(SHM, f"brindle-test-{os.getpid()}")
    options = ("--pool-size", "1G", "--staging", staging)
    try:
        said = []
        for number, ack in enumerate(["staged", "staged", "device", "staged", "device"]):
            daemon = Daemon(state, *options, "--ack", ack)
            with daemon:
                if number == 0:
                    daemon.post("/v1/volumes", name="db", size=2304 * BLOCK)
                said.append(daemon.get("/v1/status")["log"])
                equal(said[-1]["ack"], ack, "the status")
                client = Client(daemon.nbd(), "db")
                for block in range(0, 2048 if number else 0, 3):
                    equal(client.read(block * BLOCK, BLOCK), content(block, number), f"round {number}, block {block}")
                for block in range(2048):
                    client.send(WRITE, block * BLOCK, data=content(block, number + 1))
                    equal(client.reply()[1], 0, "a write's error")
                equal(len(os.listdir(staging)), 1 if ack == "staged" else 0, f"files after a start with --ack {ack}")
                # A kill behind the last reply may find all on the device; this one comes amid writes whose outcome does not matter.
                for block in range(2048, 2304):
                    client.send(WRITE, block * BLOCK, data=content(block, number + 1))
                daemon.kill()
                client.close()
            equal(offline_check(state)["staged"], ack == "staged", f"what check --offline says of staging memory after --ack {ack}")
        check(any(one["unstaged_bytes"] > 0 for one in said), f"no daemon found anything in staging memory: {said}")

        # In order: nothing is left behind.
        with Daemon(state, *options, "--ack", "staged") as daemon:
            client = Client(daemon.nbd(), "db")
            equal(client.read(0, BLOCK), content(0, 5), "the last round")
            client.send(FLUSH, 0, length=0)
            equal(client.reply()[1], 0, "a flush's error")
            client.close()
            daemon.stop()
        found = offline_check(state)
        equal((found["damage"], found["staged"]), ([], False), "check --offline after a stop")
        equal(os.listdir(staging), [], "files after a stop")
        with Daemon(state, *options) as daemon:
            check("staging memory" not in daemon.text(), "a pool that was closed in order is said to have lost something")
            daemon.stop()

        # The memory goes with its owner's, as in a container: the pool opens as after a power loss, and the daemon says what that means.
        with Daemon(state, *options, "--ack", "staged") as daemon:
            daemon.kill()
        shutil.rmtree(staging)
        with Daemon(state, *options, "--ack", "staged") as daemon:
            check("are lost" in daemon.text(), f"nothing is said of staging memory that is gone: {daemon.text()}")
            daemon.stop()
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    fails("--state", state, "--ack", "staged", "--staging", os.path.join(state, "staging"), code=1, says="tmpfs")
