"""Killed at any moment of its first start, the daemon leaves no half of a pool: the next one starts."""

import os
import subprocess
import time

import daemon as rules
from daemon import Daemon, check, equal, folder

with folder() as top:
    for attempt in range(12):
        state = os.path.join(top, str(attempt))
        process = subprocess.Popen([rules.BRINDLED, "--state", state, "--pool-size", "256M"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        time.sleep(0.004 * attempt)
        process.kill()
        process.wait()
        check(not os.path.exists(state) or set(os.listdir(state)) <= {"pool", "control.sock", "nbd.sock"}, "something is left")
        with Daemon(state, "--pool-size", "256M") as daemon:
            equal(daemon.get("/v1/volumes"), [], "volumes")
            daemon.kill()
