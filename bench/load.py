"""load.py: the two clients that load a server, and fio on a file: each run gives a dictionary with the same keys.

iops, p50_us, p99_us, p999_us; of a server also cpu_us (on the server, for each request) and resident_kib."""

import json
import time

import children
from children import Failed
from peers import CLIENT_CORE, SERVER_CORE

GRACE_SECONDS = 10


class Load:
    def __init__(self, bench):
        self.bench, self.peers, self.programs, self.record = bench, bench.peers, bench.programs, bench.record
        self.ms, self.warm_ms = bench.ms, bench.warm_ms

    def _run(self, command, who, timeout=None):
        """A load of so many milliseconds has some seconds on top, and is then held to hang."""
        return children.run(command, who, self.bench.patience_s(timeout or (self.ms + self.warm_ms) / 1000 + GRACE_SECONDS))

    def _served(self, server, command, who, timeout=None):
        try:
            return self._run(command, who, timeout)
        except Failed:
            self.peers.kill(server.name)
            raise

    def _measured(self, server, command, parse, who):
        cpu, began = server.cpu_seconds(), time.monotonic()
        result = parse(self._served(server, command, who))
        took = time.monotonic() - began
        result["cpu_us"] = (server.cpu_seconds() - cpu) / took / result["iops"] * 1e6 if result["iops"] else None
        result["resident_kib"] = server.resident_kib()
        self.record(who, command, result)
        return result

    def lean(self, name, rw="write", depth=32, block=4096, ms=None, *more):
        """The lean client against the server of that name."""
        server = self.peers.get(name)
        command = ["taskset", "-c", CLIENT_CORE, self.programs["lean_client"], "--json", "--unix", server.socket, "--export",
                   server.export, "--rw", rw, "--depth", str(depth), "--block", str(block), "--ms",
                   str(ms or self.ms + self.warm_ms), "--warm-ms", str(self.warm_ms), *more]
        return self._measured(server, command, json.loads, f"{name}: lean {rw}, depth {depth}, {block} B {' '.join(more)}".strip())

    def fill(self, name, once=1):
        """Writes every block of the volume, in a scattered order, so many times."""
        server = self.peers.get(name)
        command = ["taskset", "-c", CLIENT_CORE, self.programs["lean_client"], "--unix", server.socket, "--export", server.export, "--rw",
                   "write", "--depth", "32", "--pattern", "dense", "--once", "--ms", "600000", "--warm-ms", "0"]
        for _ in range(once):
            self._served(server, command, f"filling {name}", 60 if self.bench.quick else 600)

    def _fio(self, rw, depth, block, *more):
        return ["fio", "--name=bench", "--thread", "--output-format=json", "--time_based", f"--runtime={self.ms}ms", f"--ramp_time={self.warm_ms}ms",
                f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}", "--randrepeat=0", "--norandommap", *more]

    @staticmethod
    def _parse_fio(text):
        job = json.loads(text[text.index("{"):])["jobs"][0]
        sides = [job[side] for side in ("read", "write") if job[side]["total_ios"] > 0]
        if not sides:
            raise Failed("fio: nothing was done")
        busiest = max(sides, key=lambda side: side["total_ios"])
        at = busiest["clat_ns"].get("percentile", {})
        return {"iops": sum(side["iops"] for side in sides), "p50_us": at.get("50.000000", 0) / 1e3,
                "p99_us": at.get("99.000000", 0) / 1e3, "p999_us": at.get("99.900000", 0) / 1e3}

    def fio(self, name, rw="randwrite", depth=32, block=4096, *more):
        """fio's NBD client against the server of that name."""
        server = self.peers.get(name)
        command = ["taskset", "-c", CLIENT_CORE] + self._fio(rw, depth, block, "--ioengine=nbd", f"--uri={server.uri()}", *more)
        return self._measured(server, command, self._parse_fio, f"{name}: fio {rw}, depth {depth}, {block} B {' '.join(more)}".strip())

    def raw(self, rw="randwrite", depth=32, block=4096, *more, path=None, who="raw file"):
        """fio on a file, io_uring and O_DIRECT, on the servers' core."""
        path = path or self.peers.raw_file()
        self.peers.pause_all()
        command = ["taskset", "-c", SERVER_CORE] + self._fio(rw, depth, block, "--ioengine=io_uring", "--direct=1", f"--filename={path}",
                                                           *more)
        result = self._parse_fio(self._run(command, who))
        self.record(f"{who}: fio {rw}, depth {depth}, {block} B {' '.join(more)}".strip(), command, result)
        return result
