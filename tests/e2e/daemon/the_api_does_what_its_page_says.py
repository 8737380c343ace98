"""The calls of docs/api.md, one after the other: answers, codes, the all-or-none of lists, if_exists, wait, dry_run."""

import time

from daemon import Daemon, check, equal, folder
from nbd import Client

VOLUME_KEYS = {"name", "uuid", "size", "origin", "created", "referenced", "exclusive", "clients", "labels"}
SNAPSHOT_KEYS = VOLUME_KEYS | {"volume", "protected"}


def names(entries):
    return [entry["name"] for entry in entries]


with folder() as state:
    with Daemon(state, "--pool-size", "512M") as daemon:
        ask, get, post, refused = daemon.ask, daemon.get, daemon.post, daemon.refused

        # Volumes.
        status, db = ask("POST", "/v1/volumes", {"name": "db", "size": "64M", "labels": {"app": "pg", "tier": "1"}})
        equal((status, set(db), db["size"], db["origin"], db["clients"]), (201, VOLUME_KEYS, 64 << 20, "", 0), "a new volume")
        refused("POST", "/v1/volumes", {"name": "db", "size": "64M"}, 409, "exists")
        status, again = ask("POST", "/v1/volumes", {"name": "db", "size": "64M", "if_not_exists": True})
        equal((status, again["uuid"]), (200, db["uuid"]), "if_not_exists")
        for size in (0, 4095, 4097, (1 << 50) + 4096, "0", "1X", "", "-1", "1.5G", 1 << 63):
            refused("POST", "/v1/volumes", {"name": "x", "size": size}, 400, "invalid")
        equal(ask("PATCH", "/v1/volumes/db", {"size": "128M"})[1]["size"], 128 << 20, "growing")
        refused("PATCH", "/v1/volumes/db", {"size": "64M"}, 400, "invalid")
        equal(ask("PATCH", "/v1/volumes/db", {"size": "64M", "force": True})[1]["size"], 64 << 20, "shrinking")
        post("/v1/volumes", name="log", size="32M", labels={"app": "pg"})
        equal(names(get("/v1/volumes?label=app=pg")), ["db", "log"], "a label")
        equal(names(get("/v1/volumes?label=app=pg&label=tier=1")), ["db"], "two labels")
        equal(names(get("/v1/volumes?label=app=other")), [], "a label that nobody has")
        equal(names(get("/v1/volumes?sort=size")), ["log", "db"], "by size")
        equal(names(get("/v1/volumes?sort=size&reverse=true")), ["db", "log"], "by size, the largest first")
        equal(names(get("/v1/volumes?offset=1&limit=1")), ["log"], "a page")
        equal(get("/v1/volumes?offset=9"), [], "a page behind the end")

        # Snapshots: one instant, all or none.
        status, made = ask("POST", "/v1/snapshots", {"names": ["db@a", "log@a"], "labels": {"kind": "nightly"}})
        equal((status, names(made), set(made[0])), (201, ["db@a", "log@a"], SNAPSHOT_KEYS), "two snapshots")
        refused("POST", "/v1/snapshots", {"names": ["db@b", "nosuch@b"]}, 404, "not_found")
        refused("POST", "/v1/snapshots", {"names": ["db@b", "db@a"]}, 409, "exists")
        refused("POST", "/v1/snapshots", {"names": []}, 400, "invalid")
        refused("POST", "/v1/snapshots", {"names": ["db"]}, 400, "invalid")
        equal(names(get("/v1/snapshots?volume=db")), ["db@a"], "none of a list that was refused")
        status, made = ask("POST", "/v1/snapshots", {"names": ["db@a", "db@b"], "if_not_exists": True})
        equal((status, names(made)), (201, ["db@a", "db@b"]), "if_not_exists makes what is missing")
        equal(ask("POST", "/v1/snapshots", {"names": ["db@a"], "if_not_exists": True})[0], 200, "if_not_exists of all")
        equal(names(get("/v1/snapshots?label=kind=nightly")), ["db@a", "log@a"], "snapshots by label")
        refused("GET", "/v1/snapshots?volume=nosuch", None, 404, "not_found")
        equal(ask("PATCH", "/v1/snapshots/db@b", {"name": "c"})[1]["name"], "db@c", "a new name behind the @")
        equal(ask("PATCH", "/v1/snapshots/db@c", {"name": "db@b"})[1]["name"], "db@b", "a whole new name")
        refused("PATCH", "/v1/snapshots/db@b", {"name": "log@b"}, 400, "invalid")
        equal(ask("PATCH", "/v1/snapshots/db@b", {"protected": True})[1]["protected"], True, "protecting")
        refused("POST", "/v1/delete", {"names": ["db@a", "db@b"]}, 409, "protected")
        check("db@a" in names(get("/v1/snapshots")), "a refused deletion deleted something")
        ask("PATCH", "/v1/snapshots/db@b", {"protected": False})
        refused("GET", "/v1/volumes/db@a", None, 400, "invalid")
        refused("GET", "/v1/snapshots/db", None, 400, "invalid")

        # Clones and renaming.
        status, clones = ask("POST", "/v1/clones", {"source": "db@a", "names": ["dev1", "dev2"]})
        equal((status, names(clones), clones[0]["origin"]), (201, ["dev1", "dev2"], "db@a"), "clones")
        refused("POST", "/v1/clones", {"source": "db@a", "names": ["dev3", "dev1"]}, 409, "exists")
        equal(ask("POST", "/v1/clones", {"source": "db", "names": ["dev1", "live"], "if_not_exists": True})[0], 201, "a live clone")
        ask("PATCH", "/v1/volumes/db", {"name": "prod"})
        equal(names(get("/v1/snapshots?volume=prod")), ["prod@a", "prod@b"], "snapshots of a renamed volume")
        equal(get("/v1/volumes/dev1")["origin"], "prod@a", "the origin follows the name")
        equal(get("/v1/volumes/prod")["uuid"], db["uuid"], "the uuid stays")
        equal(ask("PATCH", "/v1/volumes/prod", {"labels": {"a": "b"}})[1]["labels"], {"a": "b"}, "the whole new set of labels")
        equal(ask("PATCH", "/v1/volumes/prod", {"set_labels": {"c": "d"}})[1]["labels"], {"a": "b", "c": "d"}, "one label more")
        equal(ask("PATCH", "/v1/volumes/prod", {"remove_labels": ["c", "x"]})[1]["labels"], {"a": "b"}, "one label less")

        # What it takes, and what differs.
        client = Client(daemon.nbd(), "prod")
        client.write(0, b"x" * (1 << 20))
        equal(get("/v1/volumes/prod")["clients"], 1, "clients")
        measured = get("/v1/volumes/prod?measure=true")
        equal((measured["referenced"], measured["exclusive"]), (1 << 20, 1 << 20), "a measured volume")
        equal(names([v for v in get("/v1/volumes") if v["exclusive"] is not None]), ["prod"], "known where it was counted")
        equal(get("/v1/diff?from=prod@a&to=prod"), [{"offset": 0, "length": 1 << 20, "kind": "data"}], "a difference")
        refused("GET", "/v1/diff?from=prod&to=log", None, 400, "invalid")
        refused("GET", "/v1/diff?from=prod", None, 400, "invalid")
        space = get("/v1/space?name=prod&name=prod@a")
        equal([(s["name"], s["kind"], s["exclusive"]) for s in space], [("prod", "volume", 1 << 20), ("prod@a", "snapshot", 0)], "space")
        equal(len(get("/v1/space")), 8, "all space")
        tree = [(node["name"], node["parent"], node["depth"]) for node in get("/v1/tree")]
        equal([node for node in tree if node[0] in ("prod@a", "prod@b", "dev1")],
              [("prod@a", "", 0), ("prod@b", "prod@a", 1), ("dev1", "prod@a", 1)], "the tree")
        for at, (name, parent, depth) in enumerate(tree):
            above = [node for node in tree[:at] if node[2] < depth]
            equal(parent, above[-1][0] if depth else "", f"the parent of {name}")

        # Rolling back and deleting, with a client on it.
        refused("POST", "/v1/rollback", {"snapshots": ["prod@a"]}, 409, "busy")
        refused("POST", "/v1/delete", {"names": ["prod"]}, 409, "busy")
        equal(post("/v1/rollback", snapshots=["prod@a"], force=True), {"saved": ["prod@before-rollback-1"]}, "a rollback")
        equal(client.read(0, 16), bytes(16), "what a client reads after it")
        equal(post("/v1/rollback", snapshots=["prod@before-rollback-1"], force=True, discard=True), {"saved": []}, "and back")
        equal(client.read(0, 16), b"x" * 16, "what a client reads after that")
        client.close()
        while get("/v1/volumes/prod")["clients"]:
            time.sleep(0.01)
        equal(post("/v1/delete", names=["prod", "prod@before-rollback-1"], dry_run=True),
              {"names": ["prod", "prod@before-rollback-1"], "frees": 1 << 20}, "what it would free")
        equal(len(get("/v1/volumes")), 5, "a dry run deletes nothing")
        refused("POST", "/v1/delete", {"names": ["dev1", "nosuch"]}, 404, "not_found")
        equal(post("/v1/delete", names=["dev1", "nosuch", "nosuch@x"], if_exists=True), {"deleted": ["dev1"]}, "if_exists")
        equal(post("/v1/delete", names=["nosuch"], if_exists=True), {"deleted": []}, "if_exists of nothing")
        refused("POST", "/v1/delete", {"names": ["bad name"], "if_exists": True}, 400, "invalid")
        equal(post("/v1/delete", names=["prod"]), {"deleted": ["prod"]}, "a volume alone")
        refused("POST", "/v1/volumes", {"name": "prod", "size": "1M", "if_not_exists": True}, 409, "exists")
        equal(names(get("/v1/snapshots?volume=prod")), ["prod@a", "prod@b", "prod@before-rollback-1"], "its snapshots stay")
        done = post("/v1/delete", names=["prod", "log", "dev2", "live"], with_snapshots=True, if_exists=True, wait=True)
        equal(len(done["deleted"]), 7, f"with their snapshots: {done}")
        equal((get("/v1/volumes"), get("/v1/snapshots"), get("/v1/tree")), ([], [], []), "nothing is left")
        equal(get("/v1/pool")["reclaiming"], 0, "wait waits for the reclaim")
        equal(post("/v1/sync")["pool"]["volumes"], 0, "sync gives the status")
        daemon.stop()
