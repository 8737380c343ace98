"""SIGSTOP and SIGCONT of the daemon under load: clients and a mounted file system wait and go on, and a kill -9 of a stopped daemon
loses nothing that was answered."""

import os
import signal
import time

from kill import BLOCK, Writer, check, equal, quiet, say, story, verify
from host import host, read, write

with story() as it, host("1G") as machine:
    daemon = machine.daemon
    daemon.post("/v1/volumes", name="db", size=3000 * BLOCK)
    writer = Writer(it, daemon.nbd(), "db", 3000, it.rng.randrange(1 << 32))
    machine.brindle("volume", "create", "files", "--size", "64M")
    where = machine.path("mnt")
    machine.brindle("attach", "files", "--mkfs", "ext4", "--mount", where)
    number = 0
    stops = 0
    writer.connect()
    it.begin()
    while it.goes_on():
        check(writer.work(it.rng.uniform(0.05, 0.3)), "the daemon went away by itself")
        number += 1
        write(f"{where}/{number % 5}", b"%d" % number)
        it.operations += 1
        while len(writer.under_way) < writer.DEPTH:
            writer.ask()
        os.kill(daemon.process.pid, signal.SIGSTOP)
        stops += 1
        time.sleep(it.rng.uniform(0.05, 0.4))
        if it.rng.random() < 0.4:
            # What was answered before it was stopped may still stand in the socket.
            while not quiet(writer):
                error = writer.answer()
                equal(error, 0, "an answer's error")
            daemon.kill()
            it.kills += 1
            writer.lost()
            daemon.start()
            writer.connect()
            writer.check_all()
        else:
            os.kill(daemon.process.pid, signal.SIGCONT)
            writer.settle()
        equal(read(f"{where}/{number % 5}"), b"%d" % number, "what was written before")
    writer.check_all()
    writer.client.close()
    machine.brindle("detach", "files")
    machine.fsck("files", "ext4")
    verify(daemon)
    say(f"seed {it.seed}: stopped {stops} times")
