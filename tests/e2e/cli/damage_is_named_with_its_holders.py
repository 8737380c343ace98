"""A rotten block: scrub, check and check --offline end with 1 and name the volume and the snapshots that hold it."""

import os

from cli import MIB, Brindle, Daemon, check, equal, folder

MARK = bytes(range(256)) * 16

with folder() as state:
    brindle = Brindle(state)
    pool = os.path.join(state, "pool")
    with Daemon(state, "--pool-size", "256M") as daemon:
        brindle.text("volume", "create", "db", "--size", "16M")
        brindle.write("db", 0, os.urandom(MIB))
        brindle.write("db", 4 * MIB, MARK)
        brindle.text("snapshot", "create", "db@mon")
        brindle.text("clone", "db@mon", "dev")
        daemon.stop()
    with open(pool, "r+b") as file:
        at = file.read().find(MARK)
        check(at > 0, "the block is in the pool file")
        file.seek(at + 100)
        file.write(b"rot")

    wanted = {(name, 4 * MIB, 4096, "checksum") for name in ("db", "db@mon", "dev")}

    def damage(document):
        return {(d["volume"], d["offset"], d["length"], d["kind"]) for d in document["damage"]}

    equal(damage(brindle.json("check", "--offline", pool, code=1)), wanted, "check --offline")
    check(brindle.text("check", "--offline", pool, code=1).startswith(
        "damaged: 4.0 KiB at offset 4194304 (checksum), held by db, db@mon and dev"), "in words")
    with Daemon(state) as daemon:
        for verb in ("scrub", "check"):
            equal(damage(brindle.json(verb, code=1)), wanted, verb)
            check("held by db, db@mon and dev" in brindle.text(verb, code=1), f"{verb} in words")
        equal(len(brindle.read("db", 0, 4096)), 4096, "the rest is served")
        daemon.stop()
