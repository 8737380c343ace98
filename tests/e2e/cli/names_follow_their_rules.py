"""A deleted volume's name is held by its snapshots; a rename moves snapshots; uuids and labels stay for life."""

from cli import equal, running

with running() as brindle:
    brindle.text("volume", "create", "db", "--size", "16M", "--label", "env=prod")
    brindle.write("db", 0, b"1" * 4096)
    brindle.text("snapshot", "create", "db@mon", "--label", "keep=yes")
    uuid = brindle.json("volume", "show", "db")["uuid"]
    snapshot_uuid = brindle.json("snapshot", "show", "db@mon")["uuid"]

    brindle.text("volume", "rename", "db", "main")
    equal([s["name"] for s in brindle.json("snapshot", "list")], ["main@mon"], "snapshots move with their volume")
    equal(brindle.json("volume", "show", "main")["uuid"], uuid, "a uuid is for life")
    shown = brindle.json("snapshot", "show", "main@mon")
    equal((shown["uuid"], shown["volume"], shown["labels"]), (snapshot_uuid, "main", {"keep": "yes"}), "the snapshot")
    brindle.refused("volume", "show", "db", code="not_found")
    brindle.refused("snapshot", "rename", "main@mon", "other@mon")

    equal(brindle.json("volume", "delete", "main"), {"deleted": ["main"]}, "the volume alone")
    equal([s["name"] for s in brindle.json("snapshot", "list")], ["main@mon"], "its snapshot stays")
    equal(brindle.json("volume", "list"), [], "the volume is gone")
    brindle.refused("volume", "create", "main", "--size", "16M", code="exists", says="snapshot")
    brindle.refused("volume", "create", "main", "--size", "16M", "--if-not-exists", code="exists", says="snapshot")
    brindle.refused("rollback", "main@mon", code="not_found", says="brindle clone")
    equal(brindle.json("clone", "main@mon", "again")[0]["origin"], "main@mon", "a clone brings it back")
    equal(brindle.read("again", 0, 4096), b"1" * 4096, "with what it held")
    brindle.text("snapshot", "delete", "main@mon", "--wait")
    brindle.text("volume", "create", "main", "--size", "16M")

    # lists filter, sort and page
    for i, size in enumerate((8, 4, 12)):
        brindle.text("volume", "create", f"v{i}", "--size", f"{size}M", "--label", "set=v", "--label", f"n={i}")
    listed = lambda *options: [v["name"] for v in brindle.json("volume", "list", *options)]  # noqa: E731
    equal(listed("--label", "set=v"), ["v0", "v1", "v2"], "by label")
    equal(listed("--label", "set=v", "--label", "n=1"), ["v1"], "by two labels")
    equal(listed("--label", "set=v", "--sort", "size"), ["v1", "v0", "v2"], "by size")
    equal(listed("--label", "set=v", "--sort", "size", "--reverse"), ["v2", "v0", "v1"], "reversed")
    equal(listed("--label", "set=v", "--sort", "created", "--limit", "2", "--offset", "1"), ["v1", "v2"], "a page")
    equal(listed("--limit", "0"), [], "a page of none")
    for sort in ("name", "size", "created", "referenced", "exclusive"):
        equal(len(listed("--sort", sort)), 5, f"sort by {sort}")
