"""A rollback keeps newer snapshots and saves what the volume held; shrinking needs --force."""

from cli import MIB, equal, running

with running() as brindle:
    brindle.text("volume", "create", "db", "--size", "16M")
    for day in (b"1", b"2", b"3"):
        brindle.write("db", 0, day * 4096)
        brindle.text("snapshot", "create", f"db@day{day.decode()}")
    brindle.write("db", 0, b"now!" * 1024)

    equal(brindle.json("rollback", "db@day1"), {"saved": ["db@before-rollback-1"]}, "rollback")
    equal(brindle.read("db", 0, 4096), b"1" * 4096, "back at the first day")
    equal([s["name"] for s in brindle.json("snapshot", "list")], ["db@before-rollback-1", "db@day1", "db@day2", "db@day3"], "newer ones stay")
    equal(brindle.read("db@before-rollback-1", 0, 4096), b"now!" * 1024, "what it held is saved")
    equal(brindle.json("volume", "show", "db")["origin"], "db@day1", "origin")
    equal(brindle.json("rollback", "db@day3")["saved"], ["db@before-rollback-2"], "and again, forward")
    equal(brindle.read("db", 0, 4096), b"3" * 4096, "forward to the third day")
    equal(brindle.json("rollback", "db@before-rollback-1", "--discard", "--wait"), {"saved": []}, "back to before")
    equal(brindle.read("db", 0, 4096), b"now!" * 1024, "as it was before any of it")
    equal(len(brindle.json("snapshot", "list", "db")), 5, "all are still there")

    brindle.write("db", 15 * MIB, b"z" * 4096)
    brindle.refused("volume", "resize", "db", "8M", says="--force")
    equal(brindle.json("volume", "resize", "db", "8M", "--force", "--wait")["size"], 8 * MIB, "shrunk")
    equal(brindle.json("volume", "resize", "db", "16M")["size"], 16 * MIB, "grown again")
    equal(brindle.read("db", 15 * MIB, 4096), bytes(4096), "what lay beyond the end is gone")
