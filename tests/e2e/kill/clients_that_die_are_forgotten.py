"""NBD clients are killed in the middle of requests and come again, over and over: others never notice, what was answered stays, and
nothing of the dead remains in the daemon. Now and then the daemon dies too."""

import os
import subprocess
import sys
import time

from kill import BLOCK, Daemon, Writer, check, folder, say, story, verify

# A client that sends requests and reads answers as it likes, until it is killed.
RUDE = """
import random, sys
sys.path[:0] = sys.argv[1:2]
from nbd import FLUSH, READ, WRITE, Client
rng = random.Random(int(sys.argv[4]))
client = Client(sys.argv[2], sys.argv[3])
print("begun", flush=True)
while True:
    for _ in range(rng.randrange(1, 60)):
        kind = rng.choice([WRITE, WRITE, READ, FLUSH])
        data = bytes([rng.randrange(256)]) * rng.choice([512, 4096, 65536]) if kind == WRITE else b""
        client.send(kind, rng.randrange(100) * 4096, 0 if kind != READ else 65536, data)
    if rng.random() < 0.5:
        client.sock.recv(rng.randrange(1, 100_000))
"""
NBD_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon")

with story() as it, folder() as state:
    daemon = Daemon(state, "--pool-size", "1G")
    with daemon:
        daemon.post("/v1/volumes", name="db", size=3000 * BLOCK)
        daemon.post("/v1/volumes", name="rude", size="16M")
        writer = Writer(it, daemon.nbd(), "db", 3000, it.rng.randrange(1 << 32))
        writer.connect()
        it.begin()
        resident = None
        clients = 0
        while it.goes_on(kills_min=6):
            rude = [subprocess.Popen([sys.executable, "-c", RUDE, NBD_FOLDER, daemon.nbd(), "rude", str(it.rng.randrange(1 << 32))],
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(3)]
            try:
                for client in rude:
                    client.stdout.readline()
                check(writer.work(it.rng.uniform(0.05, 0.3)), "the daemon went away because of others")
            finally:
                for client in rude:
                    client.kill()
                    client.wait()
                    client.stdout.close()
                    clients += 1
                    it.kills += 1
            if it.rng.random() < 0.2:
                daemon.kill()
                it.kills += 1
                writer.lost()
                daemon.start()
                writer.connect()
                writer.check_all()
                resident = None
                continue
            until = time.monotonic() + 20
            while (left := daemon.get("/v1/status")["nbd"]["connections"]) != 1:
                check(time.monotonic() < until, f"{left} connections are left, and one client lives")
                time.sleep(0.02)
            # The first round warms everything up; then a client that died leaves nothing.
            resident = resident or daemon.resident() + 64 * 1024 * 1024
            check(daemon.resident() < resident, f"the daemon has grown to {daemon.resident()} bytes")
        writer.settle()
        writer.check_all()
        writer.client.close()
        verify(daemon)
        daemon.stop()
    say(f"seed {it.seed}: {clients} clients were killed")
