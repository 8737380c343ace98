"""What `delete --dry-run` tells is what pool.free grows by; a dry run deletes nothing."""

from cli import MIB, check, equal, running

with running() as brindle:
    brindle.text("volume", "create", "db", "--size", "64M")
    for day, byte in (("mon", b"1"), ("tue", b"2"), ("wed", b"3")):
        brindle.write("db", 0, byte * 8 * MIB)
        brindle.write("db", (8 + int(byte)) * MIB, byte * MIB)
        brindle.text("snapshot", "create", f"db@{day}")
    brindle.text("clone", "db@tue", "dev")
    brindle.write("dev", 32 * MIB, b"d" * 3 * MIB)

    equal(brindle.json("delete", "--dry-run", "db@mon")["frees"], 8 * MIB, "one snapshot's own data")
    equal(brindle.json("delete", "--dry-run", "db@tue")["frees"], 0, "what the clone holds too")
    equal(brindle.json("delete", "--dry-run", "db@tue", "dev")["frees"], 11 * MIB, "a set frees more than its parts")
    equal(brindle.json("delete", "--dry-run", "db", "--with-snapshots")["names"], ["db", "db@mon", "db@tue", "db@wed"], "with snapshots")
    equal(brindle.json("space", "db@mon")[0]["exclusive"], 8 * MIB, "space says the same")
    check("would free 8388608 bytes (8.0 MiB)" in brindle.text("delete", "--dry-run", "db@mon"), "the same in words")
    equal(len(brindle.json("snapshot", "list")), 3, "a dry run deletes nothing")

    for names in (["db@mon"], ["db@tue", "dev"], ["db", "db@wed"]):
        frees = brindle.json("delete", "--dry-run", *names)["frees"]
        before = brindle.free()
        brindle.text("delete", *names, "--wait")
        grown = brindle.free() - before
        # Maps go with the data: pages of kilobytes, a few for a set.
        check(frees <= grown <= frees + 256 * 1024, f"{names}: free grew by {grown}, and {frees} were told")
    equal(brindle.json("volume", "list") + brindle.json("snapshot", "list"), [], "all is deleted")
