"""Each verb once as people type it and once with --json, whose documents have the keys of docs/cli.md."""

import os
import re

from cli import MIB, check, equal, running

VOLUME = {"name", "uuid", "size", "origin", "created", "referenced", "exclusive", "clients", "labels"}
SNAPSHOT = VOLUME | {"volume", "protected"}
POOL = {"path", "members", "uuid", "size", "allocated", "used", "reclaiming", "free", "volumes", "snapshots", "writable", "health"}
STATUS = {"version", "uptime_s", "pid", "pool", "cache", "io", "rates", "log", "nbd"}


def keys(document, wanted, what):
    equal(set(document), wanted, f"keys of {what}")
    return document


with running() as brindle:
    # volumes
    equal(brindle.text("volume", "create", "db", "--size", "64M", "--label", "env=test"), "db: a volume of 64.0 MiB\n", "create")
    volume = keys(brindle.json("volume", "create", "web", "--size", "32M"), VOLUME, "create")
    equal((volume["name"], volume["size"], volume["labels"], volume["origin"]), ("web", 32 * MIB, {}, ""), "the volume")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", volume["created"]), volume["created"])
    equal(brindle.json("volume", "create", "web", "--size", "32M", "--if-not-exists")["uuid"], volume["uuid"], "if-not-exists")
    brindle.write("db", 0, b"a" * MIB)
    equal([v["name"] for v in brindle.json("volume", "list")], ["db", "web"], "list")
    for listed in brindle.json("volume", "list"):
        keys(listed, VOLUME, "list")
    check("env=test" in brindle.text("volume", "list"), "the table has labels")
    shown = keys(brindle.json("volume", "show", "db"), VOLUME, "show")
    equal((shown["referenced"], shown["exclusive"]), (MIB, MIB), "what show counts")
    check("referenced  1.0 MiB (1048576 bytes)" in brindle.text("volume", "show", "db"), "show")
    equal(brindle.json("volume", "resize", "web", "48M")["size"], 48 * MIB, "resize")
    equal(brindle.text("volume", "resize", "web", "64M"), "web has 64.0 MiB now\n", "resize")
    equal(keys(brindle.json("volume", "label", "db", "tier=1", "env-"), VOLUME, "label")["labels"], {"tier": "1"}, "label")
    equal(brindle.text("volume", "label", "db", "a=1", "a-", "tier-", "tier=1", "env=test"), "db: env=test,tier=1\n", "the last of each counts")

    # snapshots
    made = brindle.json("snapshot", "create", "db@mon", "web@mon", "--label", "k=v")
    equal([keys(s, SNAPSHOT, "snapshot")["name"] for s in made], ["db@mon", "web@mon"], "snapshot create")
    equal([(s["volume"], s["labels"], s["protected"]) for s in made], [("db", {"k": "v"}, False), ("web", {"k": "v"}, False)], "snapshots")
    check(brindle.text("snapshot", "create", "db@tue").startswith("db@tue: a snapshot of 20"), "snapshot create")
    brindle.text("snapshot", "create", "db@tue", "--if-not-exists")
    equal([s["name"] for s in brindle.json("snapshot", "list")], ["db@mon", "db@tue", "web@mon"], "snapshot list")
    equal([s["name"] for s in brindle.json("snapshot", "list", "db")], ["db@mon", "db@tue"], "snapshot list of one")
    equal([s["name"] for s in brindle.json("snapshot", "list", "--label", "k=v", "--reverse", "--limit", "1")], ["web@mon"], "a page")
    equal(brindle.json("snapshot", "list", "--offset", "3"), [], "behind the end")
    check("db@tue" in brindle.text("snapshot", "list"), "snapshot list")
    equal(keys(brindle.json("snapshot", "show", "db@mon"), SNAPSHOT, "show")["referenced"], MIB, "snapshot show")
    check("protected   no" in brindle.text("snapshot", "show", "db@mon"), "snapshot show")
    equal(brindle.json("snapshot", "rename", "db@tue", "wed")["name"], "db@wed", "snapshot rename")
    equal(brindle.text("snapshot", "rename", "db@wed", "db@tue"), "db@wed is db@tue now\n", "snapshot rename")
    equal(brindle.json("snapshot", "protect", "db@mon")["protected"], True, "protect")
    equal(brindle.text("snapshot", "protect", "db@mon"), "db@mon is protected now\n", "protect")
    equal(brindle.text("snapshot", "unprotect", "db@mon"), "db@mon is no longer protected\n", "unprotect")
    equal(brindle.json("snapshot", "unprotect", "db@mon")["protected"], False, "unprotect")
    equal(brindle.json("snapshot", "label", "db@mon", "keep=yes")["labels"], {"k": "v", "keep": "yes"}, "snapshot label")
    equal(brindle.text("snapshot", "label", "db@mon", "k-", "keep-"), "db@mon: no labels\n", "snapshot label")

    # clones, differences, space
    clones = brindle.json("clone", "db@mon", "c1", "c2", "--label", "env=dev")
    equal([(keys(c, VOLUME, "clone")["name"], c["origin"], c["labels"]) for c in clones],
          [("c1", "db@mon", {"env": "dev"}), ("c2", "db@mon", {"env": "dev"})], "clone")
    equal(brindle.text("clone", "db", "c3"), "c3: a clone of db, 64.0 MiB\n", "clone of a live volume")
    equal(brindle.read("c3", 0, 4096), b"a" * 4096, "what a clone reads")
    brindle.write("db", 8192, b"b" * 4096)
    equal(brindle.json("diff", "db@mon", "db"), [{"offset": 8192, "length": 4096, "kind": "data"}], "diff")
    check("8192    4096  data" in brindle.text("diff", "db@mon", "db"), "diff")
    equal(brindle.text("diff", "db@mon", "db@tue"), "db@mon and db@tue hold the same\n", "no diff")
    space = brindle.json("space", "db", "db@mon")
    equal([keys(s, {"name", "kind", "size", "referenced", "exclusive"}, "space")["name"] for s in space], ["db", "db@mon"], "space")
    equal([(s["kind"], s["exclusive"]) for s in space], [("volume", 4096), ("snapshot", 0)], "space")
    equal(len(brindle.json("space")), 8, "space of all")
    check("EXCLUSIVE" in brindle.text("space"), "space")
    tree = brindle.json("tree")
    check({"name", "kind", "parent", "depth"} <= set(tree[0]), f"keys of tree: {tree[0]}")
    drawn = brindle.run("tree", env={**os.environ, "LC_ALL": "C.UTF-8"})[1]
    check("└─ " in drawn and all(name in drawn for name in ("db@mon", "c1", "web")), drawn)
    drawn = brindle.run("tree", env={**os.environ, "LC_ALL": "C"})[1]
    check("`- " in drawn and drawn.isascii(), drawn)

    # back and away
    equal(brindle.json("rollback", "db@mon"), {"saved": ["db@before-rollback-1"]}, "rollback")
    equal(brindle.text("rollback", "db@tue"), "db is back at db@tue; what it held is db@before-rollback-2\n", "rollback")
    equal(brindle.text("rollback", "db@tue", "--discard", "--wait"), "db is back at db@tue\n", "rollback")
    equal(brindle.text("volume", "rename", "c1", "c9"), "c1 is c9 now\n", "rename")
    equal(keys(brindle.json("volume", "rename", "c9", "c1"), VOLUME, "rename")["name"], "c1", "rename")
    dry = keys(brindle.json("delete", "--dry-run", "c1", "db@before-rollback-1"), {"names", "frees"}, "dry run")
    check(isinstance(dry["frees"], int), dry)
    equal(brindle.json("volume", "delete", "c1", "--wait"), {"deleted": ["c1"]}, "volume delete")
    equal(brindle.text("volume", "delete", "c2"), "deleted c2\n", "volume delete")
    equal(brindle.text("volume", "delete", "c2", "--if-exists"), "nothing to delete\n", "if-exists")
    equal(brindle.json("snapshot", "delete", "web@mon"), {"deleted": ["web@mon"]}, "snapshot delete")
    equal(brindle.text("delete", "db@before-rollback-1", "c3"), "deleted c3 and db@before-rollback-1\n", "delete")
    equal(sorted(brindle.json("volume", "delete", "db", "--with-snapshots")["deleted"]), ["db", "db@before-rollback-2", "db@mon", "db@tue"], "all of it")

    # the pool
    keys(brindle.json("sync"), STATUS, "sync")
    check(" used, " in brindle.text("sync"), "sync")
    status = keys(brindle.json("status"), STATUS, "status")
    keys(status["pool"], POOL, "pool")
    check("health     ok" in brindle.text("status"), "status")
    equal(keys(brindle.json("pool", "show"), POOL, "pool show")["volumes"], 1, "pool show")
    check("health     ok" in brindle.text("pool", "show"), "pool show")
    equal(brindle.json("pool", "grow", "2G")["size"], 2048 * MIB, "pool grow")
    check(brindle.text("pool", "grow", "3G").startswith("the pool may grow to 3.0 GiB"), "pool grow")
    for verb in ("scrub", "check"):
        equal(keys(brindle.json(verb), {"read", "damage"}, verb)["damage"], [], verb)
        check(brindle.text(verb).startswith("nothing is wrong, "), verb)
    keys(brindle.json("tidy"), {"read", "rewritten", "shared"}, "tidy")
    check("written again, in order" in brindle.text("tidy"), "tidy")
    brindle.refused("tidy", "nobody", code="not_found")
    check(brindle.text("--version").startswith("brindle "), "version")
    brindle.refused("check", "--offline", os.path.join(brindle.state, "pool"), code="busy")
    brindle.daemon.stop()
    equal(brindle.json("check", "--offline", os.path.join(brindle.state, "pool"))["damage"], [], "check --offline")
