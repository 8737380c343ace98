"""Snapshots, rollbacks and deletions of several at once happen to all of them or to none."""

from cli import equal, running


def snapshots(brindle):
    return [s["name"] for s in brindle.json("snapshot", "list")]


with running() as brindle:
    for name in ("a", "b"):
        brindle.text("volume", "create", name, "--size", "16M")
        brindle.write(name, 0, name.encode() * 4096)
    brindle.refused("snapshot", "create", "a@1", "b@1", "missing@1", code="not_found")
    brindle.refused("snapshot", "create", "a@1", "a@1", code="exists")
    equal(snapshots(brindle), [], "after refused snapshots")
    brindle.text("snapshot", "create", "a@1", "b@1")
    brindle.refused("snapshot", "create", "a@2", "b@1", code="exists")
    equal(snapshots(brindle), ["a@1", "b@1"], "after a snapshot of which one was there")
    equal([s["name"] for s in brindle.json("snapshot", "create", "a@2", "b@1", "--if-not-exists")], ["a@2", "b@1"], "if-not-exists")

    brindle.write("a", 0, b"x" * 4096)
    brindle.write("b", 0, b"x" * 4096)
    brindle.refused("rollback", "a@1", "b@missing", code="not_found")
    brindle.refused("rollback", "a@1", "a@2")
    equal(brindle.read("a", 0, 4096), b"x" * 4096, "after a refused rollback")
    equal(brindle.json("rollback", "a@1", "b@1"), {"saved": ["a@before-rollback-1", "b@before-rollback-1"]}, "rollback")
    equal((brindle.read("a", 0, 4096), brindle.read("b", 0, 4096)), (b"a" * 4096, b"b" * 4096), "after the rollback")

    before = snapshots(brindle)
    brindle.text("snapshot", "protect", "b@1")
    brindle.refused("delete", "a@1", "b@1", code="protected")
    brindle.refused("delete", "a@1", "nothing", code="not_found")
    equal(snapshots(brindle), before, "after refused deletions")
    equal(brindle.json("delete", "a@1", "nothing", "--if-exists"), {"deleted": ["a@1"]}, "if-exists")

    brindle.refused("clone", "a", "c1", "b", code="exists")
    equal([v["name"] for v in brindle.json("volume", "list")], ["a", "b"], "after a refused clone")
    equal([v["name"] for v in brindle.json("clone", "a", "c1", "b", "--if-not-exists")], ["c1", "b"], "if-not-exists")
