"""A process that writes and syncs through a mounted file system only waits while the daemon is ended, killed, and started
again; nothing that was synced is lost, whatever the volume is called by then."""

import os
import subprocess
import sys
import time

from host import FILE_SYSTEMS, check, equal, host

WRITER = """
import os, sys
file = open(sys.argv[1], "ab", buffering=0)
number = 0
while True:
    file.write(b"%015d\\n" % number)
    if number % 50 == 0:
        other = open(sys.argv[1] + ".%d" % (number // 50 % 4), "wb")
        other.write(os.urandom(300000))
        other.flush()
        os.fsync(other.fileno())
        other.close()
    os.fsync(file.fileno())
    print(number, flush=True)
    number += 1
"""


class Writer:
    """Writes `path`; what it has been promised is noted in `notes`, outside of the volume."""

    def __init__(self, path, notes):
        self.out = open(notes, "w+b")
        self.process = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=self.out)

    def acknowledged(self):
        lines = os.pread(self.out.fileno(), 1 << 24, 0).split(b"\n")
        return int(lines[-2]) + 1 if len(lines) > 1 else 0

    def goes_on(self, what):
        """It gets acknowledgements that it did not have before."""
        start, until = self.acknowledged(), time.monotonic() + 60
        while self.acknowledged() < start + 5:
            check(self.process.poll() is None, f"the writer failed: {what}")
            check(time.monotonic() < until, f"the writer does not go on: {what}")
            time.sleep(0.02)


def gone(it, name):
    until = time.monotonic() + 20
    while it.attachments()[name]["connected"]:
        check(time.monotonic() < until, "the attachment does not notice that the daemon is away")
        time.sleep(0.02)


with host() as it:
    for kind in FILE_SYSTEMS:
        it.brindle("volume", "create", kind, "--size", "320M")
        where = it.path("mnt", kind)
        it.brindle("attach", kind, "--mkfs", kind, "--mount", where)
        path = os.path.join(where, "log")
        writer = Writer(path, it.path(kind + ".notes"))
        try:
            writer.goes_on("at first")
            it.daemon.stop()
            gone(it, kind)
            it.refused("detach", kind, says="the daemon is away")
            it.daemon.start()
            writer.goes_on("after SIGTERM")
            for _ in range(2):
                it.daemon.kill()
                time.sleep(0.1)
                it.daemon.start()
                writer.goes_on("after kill -9")
            it.brindle("volume", "rename", kind, f"{kind}-renamed")
            it.brindle("volume", "create", kind, "--size", "64M")
            writer.goes_on("after a rename")
            it.daemon.kill()
            it.daemon.start()
            writer.goes_on("after kill -9 under another name, while another volume has the old one")
        finally:
            writer.process.kill()
            writer.process.wait()
        promised = writer.acknowledged()
        kept = open(path, "rb").read().split(b"\n")
        check(len(kept) > promised, f"{kind}: {promised} lines were acknowledged, {len(kept) - 1} are there")
        for number in range(promised):
            equal(kept[number], b"%015d" % number, f"{kind}: a line")
        equal(sorted(it.attachments()), [f"{kind}-renamed"], "the attachment's name")
        it.brindle("detach", f"{kind}-renamed")
        it.fsck(f"{kind}-renamed", kind)
        equal(it.json("volume", "show", kind)["referenced"], 0, "what the other volume of the old name got")
