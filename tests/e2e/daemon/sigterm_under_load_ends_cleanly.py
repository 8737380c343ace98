"""SIGTERM while clients write, read, list and measure: it ends within two seconds, and everything answered is there."""

import signal
import threading
import time

from daemon import Daemon, check, equal, folder
from nbd import Client

BLOCK = 64 * 1024

with folder() as state:
    daemon = Daemon(state, "--pool-size", "1G")
    with daemon:
        daemon.post("/v1/volumes", name="db", size="128M")
        daemon.post("/v1/snapshots", names=["db@s"])
        answered = [0] * 4
        silent = Client(daemon.nbd(), "db")  # one that is open and says nothing
        failures = []

        def write(worker):
            client = Client(daemon.nbd(), "db")
            try:
                for i in range(1, 1 << 30):
                    client.write((worker * 256 + i % 256) * BLOCK, i.to_bytes(8, "little") * (BLOCK // 8))
                    answered[worker] = i
            except (OSError, AssertionError):
                pass  # the daemon has ended

        def ask():
            try:
                while True:
                    daemon.ask("GET", "/v1/volumes/db?measure=true")
                    daemon.ask("GET", "/v1/status")
            except (OSError, ValueError):
                pass
            except Exception as error:
                if "Remote end closed" not in str(error) and type(error).__name__ != "IncompleteRead":
                    failures.append(error)

        threads = [threading.Thread(target=write, args=(i,)) for i in range(4)] + [threading.Thread(target=ask)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        took = daemon.stop()
        for thread in threads:
            thread.join(10)
            check(not thread.is_alive(), "a client hangs")
        equal(failures, [], "failures of the control API")
        check(took < 3, f"it took {took:.2f} s")
        check(min(answered) > 0, "nothing was written")
    with daemon:
        equal(daemon.get("/v1/status")["log"]["replayed_batches"], 0, "batches replayed after an end in order")
        client = Client(daemon.nbd(), "db")
        for worker, last in enumerate(answered):
            for i in range(max(1, last - 200), last + 1):
                there = client.read((worker * 256 + i % 256) * BLOCK, BLOCK)
                value = int.from_bytes(there[:8], "little")
                check(value in (i, i + 256) and there == there[:8] * (BLOCK // 8), f"writer {worker}: {value}, expected {i}")
        daemon.stop()

    with daemon:
        check(daemon.stop(signal.SIGINT) < 2, "SIGINT")
