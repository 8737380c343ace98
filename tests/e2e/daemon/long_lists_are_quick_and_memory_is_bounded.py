"""100,000 snapshots: a list within a second, memory within its bound, short calls and I/O not held up meanwhile."""

import json
import multiprocessing
import time

from daemon import MIB, Connection, Daemon, check, equal, folder
from nbd import Client

COUNT = 100_000
A_CALL = 5_000
MEMORY = 128


def write(path, stop, slowest):
    client = Client(path, "db")
    i = 0
    while not stop.is_set():
        begin = time.monotonic()
        client.write(i % 4096 * 4096, bytes([i % 256]) * 4096)
        slowest.value = max(slowest.value, time.monotonic() - begin)
        i += 1
        time.sleep(0.001)
    client.close()


with folder() as state:
    daemon = Daemon(state, "--pool-size", "4G", "--memory", f"{MEMORY}M")
    with daemon:
        daemon.post("/v1/volumes", name="db", size="1G")
        for first in range(0, COUNT // 2, A_CALL):
            names = [f"clone-{i:06}" for i in range(first, first + A_CALL)]
            daemon.ask("POST", "/v1/clones", {"source": "db", "names": names}, timeout=60)
            daemon.ask("POST", "/v1/snapshots", {"names": [f"{name}@s" for name in names]}, timeout=60)
        # In a process of its own: this one is often busy with reading the lists.
        stop = multiprocessing.Event()
        slowest = multiprocessing.Value("d", 0.0)
        writer = multiprocessing.Process(target=write, args=(daemon.nbd(), stop, slowest))
        writer.start()
        best = {}
        for what, expected in (("volumes", COUNT // 2 + 1), ("snapshots", COUNT // 2), ("tree", COUNT + 1)):
            for path in (what,) if what == "tree" else (what, what + "?sort=created&reverse=true"):
                best[path] = 1e9
                for _ in range(3):
                    connection = Connection(daemon.control(), 60)
                    begin = time.monotonic()
                    connection.request("GET", "/v1/" + path)
                    text = connection.getresponse().read()
                    best[path] = min(best[path], time.monotonic() - begin)
                    connection.close()
                equal(len(json.loads(text)), expected, f"entries of {path}")
        stop.set()
        writer.join()
        print({path: f"{took:.3f} s" for path, took in best.items()}, f"slowest write meanwhile {slowest.value * 1000:.1f} ms")
        for path, took in best.items():
            check(took < (3 if path == "tree" else 1), f"{path} took {took:.2f} s")
        check(slowest.value < 1, f"a write took {slowest.value:.3f} s")
        resident = daemon.resident()
        peak = daemon.resident("VmHWM")
        print(f"resident {resident / MIB:.0f} MiB, at most {peak / MIB:.0f} MiB, --memory {MEMORY} MiB")
        check(peak <= (MEMORY + 64) * MIB, f"resident memory was {peak / MIB:.0f} MiB")
        with open(f"/proc/{daemon.process.pid}/smaps_rollup") as maps:
            huge = [line for line in maps if line.startswith("AnonHugePages")]
        equal(huge[0].split()[1], "0", "huge pages")
        daemon.kill()
    begin = time.monotonic()
    with daemon:
        print(f"ready after the kill within {time.monotonic() - begin:.2f} s")
        equal(daemon.get("/v1/pool")["snapshots"], COUNT // 2, "snapshots")
        daemon.kill()
