"""Writes are answered, the daemon is killed in the middle of more of them: every answered write is there afterwards."""

import random

from daemon import Daemon, check, equal, folder
from nbd import WRITE, Client

BLOCK = 4096
BLOCKS = 4096
DEPTH = 16

with folder() as state:
    daemon = Daemon(state, "--pool-size", "1G")
    rng = random.Random(7)
    acknowledged = {}  # block: the number that was last answered
    possible = {}      # block: numbers that were sent and not answered
    number = 0

    def content(block, value):
        return (block.to_bytes(8, "little") + value.to_bytes(8, "little")) * (BLOCK // 16)

    for round_number in range(4):
        with daemon:
            if round_number == 0:
                daemon.post("/v1/volumes", name="db", size=BLOCKS * BLOCK)
            client = Client(daemon.nbd(), "db")
            for block in sorted(set(acknowledged) | set(possible)):
                there = client.read(block * BLOCK, BLOCK)
                value = int.from_bytes(there[8:16], "little")
                check(there == content(block, value) or (value == 0 and not any(there)), f"block {block} is torn")
                allowed = possible.get(block, set()) | {acknowledged.get(block, 0)}
                check(value in allowed, f"round {round_number}, block {block}: {value}, and may be {allowed}")
                acknowledged[block] = value
            possible = {}
            under_way = {}
            busy = set()
            answers = 600 + rng.randrange(400)
            while answers > 0:
                while len(under_way) < DEPTH:
                    block = rng.randrange(BLOCKS)
                    if block in busy:
                        continue
                    number += 1
                    busy.add(block)
                    under_way[client.send(WRITE, block * BLOCK, data=content(block, number))] = (block, number)
                cookie, error = client.reply()
                equal(error, 0, "a write's error")
                block, value = under_way.pop(cookie)
                acknowledged[block] = value
                busy.discard(block)
                answers -= 1
                if answers == 300:
                    daemon.post("/v1/snapshots", names=[f"db@round{round_number}"])
            daemon.kill()
            for block, value in under_way.values():
                possible.setdefault(block, set()).add(value)
            client.close()
    with daemon:
        names = [snapshot["name"] for snapshot in daemon.get("/v1/snapshots")]
        equal(names, [f"db@round{i}" for i in range(4)], "snapshots that were answered")
        daemon.post("/v1/scrub")
        while daemon.get("/v1/scrub")["running"]:
            pass
        equal(daemon.get("/v1/scrub")["damage"], [], "damage")
        equal(daemon.get("/v1/scrub")["error"], "", "the scrub's error")
        daemon.stop()
