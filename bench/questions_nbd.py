"""questions_nbd.py: what is asked of a server over NBD."""

import http.client
import json
import os
import socket
import struct
import time

from engine import Engine
from peers import Server
from stats import median, ratios, rounds


def _ceiling(bench, id_, rw):
    for name in ("brindle-memory", "empty"):
        bench.filled(name)
    lean = bench.load.lean
    ran = rounds(bench.rounds, {
        "empty": lambda: lean("empty", rw),
        "brindle": lambda: lean("brindle-memory", rw),
        "again": lambda: lean("empty", rw),
    })
    bench.goals.set(id_, "", ratios(ran["brindle"], ran["empty"]), ratios(ran["again"], ran["empty"]))


def ceiling_write(bench):
    _ceiling(bench, "ceiling-write", "write")


def ceiling_read(bench):
    _ceiling(bench, "ceiling-read", "read")


def depth1(bench):
    for name in ("brindle-memory", "empty"):
        bench.filled(name)
    lean = bench.load.lean
    for rw in ("write", "read"):
        ran = rounds(bench.rounds, {
            "empty": lambda rw=rw: lean("empty", rw, 1),
            "brindle": lambda rw=rw: lean("brindle-memory", rw, 1),
            "again": lambda rw=rw: lean("empty", rw, 1),
        })
        bench.goals.set("depth1", rw, ratios(ran["brindle"], ran["empty"], "p50_us"), ratios(ran["again"], ran["empty"], "p50_us"))


def memory_write(bench):
    for name in ("brindle-memory", "nbdkit-memory"):
        bench.filled(name)
    fio = bench.load.fio
    ran = rounds(bench.rounds, {
        "kit": lambda: fio("nbdkit-memory"),
        "brindle": lambda: fio("brindle-memory"),
        "again": lambda: fio("nbdkit-memory"),
    })
    bench.goals.set("memory-write", "", ratios(ran["brindle"], ran["kit"]), ratios(ran["again"], ran["kit"]))
    bench.peers.end("nbdkit-memory")


def disk_write(bench):
    bench.disk_brindle()
    fio = bench.load.fio
    ran = rounds(bench.rounds, {
        "brindle": lambda: fio("brindle-disk"),
        "qemu": lambda: fio("qemu-raw"),
        "kit": lambda: fio("nbdkit-file"),
        "cached": lambda: fio("nbdkit-cached"),
        "again": lambda: fio("qemu-raw"),
    })
    bench.goals.set("disk-write", "qemu", ratios(ran["brindle"], ran["qemu"]), ratios(ran["again"], ran["qemu"]))
    cached = median(ratios(ran["brindle"], ran["cached"]))
    bench.goals.set("disk-write", "nbdkit", ratios(ran["brindle"], ran["kit"]),
                    note=f"nbdkit with cache=none; against its page cache, where nothing is on disk yet: {cached:.2f}")
    for name in ("nbdkit-file", "nbdkit-cached", "qemu-raw"):
        bench.peers.end(name)


def qcow2(bench):
    bench.disk_brindle()
    bench.filled("qcow2")
    lean = bench.load.lean
    ran = rounds(bench.rounds, {"brindle": lambda: lean("brindle-disk"), "qcow2": lambda: lean("qcow2")})
    bench.goals.set("qcow2", "", ratios(ran["brindle"], ran["qcow2"]))


def qcow2_snap(bench):
    """An external snapshot is a new image over the old one; Brindle's is a snapshot."""
    bench.disk_brindle()
    bench.filled("qcow2")
    bench.peers.end("qcow2")
    taken = [0]
    # From the first write on: the first overwrites are what is asked about.
    first = ("--pattern", "spread", "--once", "--warm-ms", "0")

    def brindle():
        bench.peers.get("brindle-disk")
        taken[0] += 1
        bench.peers.cli("snapshot", "create", f"v@first{taken[0]}")
        return bench.load.lean("brindle-disk", "write", 32, 4096, bench.ms, *first)

    def overlay():
        image = bench.peers.image("over.qcow2", "-b", bench.peers.path("plain.qcow2"), "-F", "qcow2")
        bench.peers.add(bench.peers.qcow2("qcow2-overlay", image, bench.peers.path("plain.qcow2")))
        try:
            return bench.load.lean("qcow2-overlay", "write", 32, 4096, bench.ms, *first)
        finally:
            bench.peers.end("qcow2-overlay")

    ran = rounds(bench.rounds, {"brindle": brindle, "qcow2": overlay})
    bench.goals.set("qcow2-snap", "", ratios(ran["brindle"], ran["qcow2"]))
    bench.peers.get("brindle-disk")
    bench.peers.cli("delete", *[f"v@first{number + 1}" for number in range(taken[0])])


def raw_write(bench):
    bench.disk_brindle()
    bench.disk_brindle("brindle-staged")
    size = f"{bench.size_mib}M"
    with Engine(bench, f"{bench.size_mib * 3}M", bench.peers.path("engine.pool")) as engine:
        engine.fill(size=size, times=4)
        ran = rounds(bench.rounds, {
            "raw": bench.load.raw,
            "lean": lambda: bench.load.lean("brindle-disk"),
            "staged": lambda: bench.load.lean("brindle-staged"),
            "engine32": lambda: engine.tell("load", depth=32, ms=bench.ms + bench.warm_ms, warm_ms=bench.warm_ms),
            "engine256": lambda: engine.tell("load", depth=256, ms=bench.ms + bench.warm_ms, warm_ms=bench.warm_ms),
            "again": bench.load.raw,
        })
    control = ratios(ran["again"], ran["raw"])
    bench.peers.end("brindle-staged")
    for key in ("lean", "staged", "engine32", "engine256"):
        bench.goals.set("raw-write", key, ratios(ran[key], ran["raw"]), control)


def fua(bench):
    bench.disk_brindle()
    raw, lean = bench.load.raw, bench.load.lean
    ran = rounds(bench.rounds, {
        "raw1": lambda: raw("randwrite", 1, 4096, "--fdatasync=1"),
        "lean1": lambda: lean("brindle-disk", "write", 1, 4096, None, "--fua"),
        "fio1": lambda: bench.load.fio("brindle-disk", "randwrite", 1, 4096, "--fsync=1"),
        "raw32": lambda: raw("randwrite", 32, 4096, "--fdatasync=1"),
        "lean32": lambda: lean("brindle-disk", "write", 32, 4096, None, "--fua"),
        "again": lambda: raw("randwrite", 1, 4096, "--fdatasync=1"),
    })
    control = ratios(ran["again"], ran["raw1"])
    bench.goals.set("fua", "lean1", ratios(ran["lean1"], ran["raw1"]), control)
    bench.goals.set("fua", "fio1", ratios(ran["fio1"], ran["raw1"]), control, "fio knows no FUA over NBD: a write, then a flush")
    bench.goals.set("fua", "lean32", ratios(ran["lean32"], ran["raw32"]))


def disk_read(bench):
    """The large volume's payload is not there: a read of it reads another file of the disk instead. Its map is there, on the disk."""
    bench.disk_brindle()
    size, memory = (16, 4) if bench.quick else (1024, 256)  # GiB, MiB
    with Engine(bench, f"{size * 2}G", bench.peers.path("engine.pool"), memory=f"{memory}M", hollow=True,
                payload_mib=bench.size_mib) as engine:
        engine.weave(size)
        engine.tell("load", rw="read", ms=700 if bench.quick else 10_000)  # the cache is full, and of such reads
        before = engine.tell("status")
        reads = engine.tell("load", rw="read", ms=300 if bench.quick else 2000, warm_ms=0)["count"]
        after = engine.tell("status")
        with engine.served("brindle-large"):
            ran = rounds(bench.rounds, {
                "raw": lambda: bench.load.raw("randread"),
                "brindle": lambda: bench.load.lean("brindle-disk", "read"),
                "large": lambda: bench.load.lean("brindle-large", "read"),
                "again": lambda: bench.load.raw("randread"),
            })
    again = ratios(ran["again"], ran["raw"])
    bench.goals.set("disk-read", "cached", ratios(ran["brindle"], ran["raw"]), again)
    note = (f"{size} GiB mapped in {memory} MiB, written once, no two neighbours in a row; maps of {after['table_bytes'] >> 20} MiB, "
            f"cached {after['cache_bytes'] >> 20}; {(after['reads'] - before['reads']) / reads:.2f} device reads a read; the process takes "
            f"{after['resident'] >> 20} MiB; payload is read from a file of {bench.size_mib} MiB")
    bench.goals.set("disk-read", "large", ratios(ran["large"], ran["raw"]), again, note)


# --- the idle daemon ----------------------------------------------------------------------------------------------------


class _Control(http.client.HTTPConnection):
    """The daemon's control API on its Unix socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)

    def post(self, where, body):
        self.request("POST", where, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise ValueError(f"POST {where}: {answer.status} {text[:200]}")


def _connect(path, name):
    """A client that has agreed with the server and then asks for nothing. NBD, baseline negotiation."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(path)
    client.recv(18, socket.MSG_WAITALL)
    client.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, len(name)) + name.encode())
    client.recv(10, socket.MSG_WAITALL)
    return client


def _cpu_ns(pid):
    """Of the whole process, threads that have ended included: a sum over those that are there shrinks when one ends. The clock of
    another process is what clock_getcpuclockid(3) makes of its number."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def idle(bench):
    state = bench.peers.path("idle")
    command = [bench.programs["brindled"], "--state", state, "--pool-size", "1G"]
    server = bench.peers.add(Server("brindle-idle", command, os.path.join(state, "nbd.sock"), log=bench.peers.path("idle.log")))
    control = _Control(os.path.join(state, "control.sock"))
    for number in range(1000):
        control.post("/v1/volumes", {"name": f"v{number}", "size": 1 << 30})
    control.close()
    clients = [_connect(server.socket, f"v{number * 10}") for number in range(100)]
    time.sleep(3 if bench.quick else 10)  # the checkpoint that follows the last change
    percent = []
    for _ in range(bench.rounds):
        cpu, began = _cpu_ns(server.process.pid), time.monotonic()
        time.sleep(1.5 if bench.quick else 10)
        percent.append((_cpu_ns(server.process.pid) - cpu) / (time.monotonic() - began) / 1e9 * 100)
    bench.record("idle: 1,000 volumes, 100 connections", None, {"percent": percent, "resident_kib": server.resident_kib()})
    bench.goals.set("idle", "", percent)
    for client in clients:
        client.close()
    bench.peers.end("brindle-idle")

