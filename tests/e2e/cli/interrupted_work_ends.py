"""Ctrl-C during scrub and check ends with 130, prints nothing, and ends the work in the daemon."""

import os
import signal
import subprocess
import time

from cli import BRINDLE, MIB, check, equal, running, skip

with running() as brindle:
    brindle.text("volume", "create", "db", "--size", "256M")
    for piece in range(4):
        brindle.write("db", piece * 32 * MIB, os.urandom(32 * MIB))
    caught = 0
    for verb in ("scrub", "check"):
        for _ in range(10):
            process = subprocess.Popen([BRINDLE, "--state", brindle.state, verb], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            while process.poll() is None and not brindle.daemon.get(f"/v1/{verb}")["running"]:
                time.sleep(0.002)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            if process.returncode == 0:
                continue  # it was faster than this script
            equal((process.returncode, out, err), (130, b"", b""), f"interrupted {verb}")
            caught += 1
            deadline = time.monotonic() + 10
            while brindle.daemon.get(f"/v1/{verb}")["running"]:
                check(time.monotonic() < deadline, f"the {verb} goes on in the daemon")
                time.sleep(0.01)
            break
    if caught == 0:
        skip("scrub and check of 128 MiB were over before they could be interrupted")
    equal(brindle.json("scrub")["damage"], [], "a scrub afterwards")
