"""The file system that holds the pool's file fills up and is emptied again, over and over, under writers, with kill -9 in all of its
states: writes may be refused, nothing that was answered is lost, reads and flushes and deletions work, and once there is room writes do."""

import errno
import os
import time

from kill import BLOCK, Daemon, Writer, check, equal, folder, output, say, story, verify

MIB = 1 << 20
ENOSPC = errno.ENOSPC
ENOUGH = 32 * MIB  # of room on the host, for writes to go on


def fill_up(path):
    """Takes what the file system still gives."""
    with open(path, "ab", buffering=0) as file:
        size = 4 * MIB
        while size >= BLOCK:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError as error:
                check(error.errno == ENOSPC, f"filling the host: {error}")
                size //= 2


def sound(daemon, when):
    """A full host is no damage: the pool stays writable, and answers."""
    pool = daemon.get("/v1/status")["pool"]
    equal((pool["writable"], pool["health"]), (True, "ok"), f"writable and health {when}")


def write_some(writer, count):
    """The error of one write."""
    writer.send_write(writer.rng.randrange(writer.blocks - count), count)
    return writer.answer()


def discard_all(writer):
    writer.send_zero(0, writer.blocks)
    equal(writer.answer(), 0, "the error of a discard of everything")
    writer.known = {}


with story() as it, folder() as top:
    host_file, host = os.path.join(top, "host"), os.path.join(top, "mnt")
    os.mkdir(host)
    with open(host_file, "wb") as file:
        file.truncate(130 * MIB)
    output("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", host_file)
    output("mount", "-o", "loop", host_file, host)
    try:
        state, ballast = os.path.join(host, "state"), os.path.join(host, "ballast")
        daemon = Daemon(state, "--pool-size", "480M")
        blocks = 36_000  # more than the host has room for
        writer = Writer(it, os.path.join(state, "nbd.sock"), "db", blocks, it.rng.randrange(1 << 32))
        with daemon:
            daemon.post("/v1/volumes", name="db", size=blocks * BLOCK)
            it.begin()
            full = refused = 0
            writer.connect()
            while it.goes_on():
                check(writer.work(it.rng.uniform(0.1, 0.4), (0, ENOSPC)), "the daemon went away by itself")
                writer.settle((0, ENOSPC))
                fill_up(ballast)
                full += 1
                # What the pool has filled in advance is used up first.
                end = time.monotonic() + 30
                while write_some(writer, 64) == 0:
                    check(time.monotonic() < end, "the host is full, and the pool still finds room")
                refused += 1
                sound(daemon, "with the host full")
                writer.client.flush()
                writer.check_all(500)
                if it.rng.random() < 0.6:
                    daemon.kill()
                    it.kills += 1
                    writer.lost()
                    daemon.start()
                    writer.connect()
                    writer.check_all(3000)
                    sound(daemon, "after a kill, with the host full")
                # Where the pool itself had taken nearly all of the host, only the volume can give room.
                ours = os.path.getsize(ballast) < ENOUGH or it.rng.random() < 0.3
                if ours:
                    discard_all(writer)
                os.unlink(ballast)
                end = time.monotonic() + 20
                while (error := write_some(writer, 1)) != 0:
                    check(error == ENOSPC and time.monotonic() < end, f"with room again, a write still fails: error {error}")
                    time.sleep(0.1)
            writer.check_all()
            writer.client.close()
            verify(daemon)
            daemon.stop()
        say(f"seed {it.seed}: the host was full {full} times, {refused} writes were refused")
    finally:
        output("umount", host)
    output("e2fsck", "-fn", host_file)
