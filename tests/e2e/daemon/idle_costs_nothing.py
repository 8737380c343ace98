"""With volumes, connections and an open control connection, an idle daemon uses less than 1 % of a core."""

import time

from daemon import Connection, Daemon, check, folder
from nbd import Client

with folder() as state:
    with Daemon(state, "--pool-size", "512M") as daemon:
        daemon.post("/v1/volumes", name="db", size="64M")
        daemon.post("/v1/snapshots", names=["db@s"])
        daemon.post("/v1/clones", source="db@s", names=["dev"])
        clients = [Client(daemon.nbd(), "db"), Client(daemon.nbd(), "dev")]
        for client in clients:
            for i in range(500):
                client.write(i * 4096, bytes([i % 251]) * 4096)
            client.flush()
        control = Connection(daemon.control(), 30)
        control.request("GET", "/v1/status")
        control.getresponse().read()
        time.sleep(3)  # idle begins here: what the pool tidies up later may not be felt
        before = daemon.processor_seconds()
        begin = time.monotonic()
        time.sleep(5)
        share = (daemon.processor_seconds() - before) / (time.monotonic() - begin)
        check(share < 0.01, f"an idle daemon uses {share:.2%} of a core")
        print(f"idle: {share:.3%} of a core")
