"""Images come in and go out unchanged, raw and qcow2, and what is a hole stays one on both sides."""

import os

from host import MIB, check, equal, host, noise, read, run


def allocated(path):
    return os.stat(path).st_blocks * 512


with host() as it:
    raw = it.path("disk.img")
    with open(raw, "wb") as file:
        file.truncate(256 * MIB)
        for place, length in ((0, 5000), (10 * MIB + 100, 3 * MIB), (255 * MIB, MIB)):
            file.seek(place)
            file.write(noise(length, place))
    qcow2 = it.path("disk.qcow2")
    run("qemu-img", "convert", "-O", "qcow2", raw, qcow2)

    for source, name, kind in ((raw, "from-raw", "raw"), (qcow2, "from-qcow2", "qcow2")):
        done = it.json("import", source, name, "--label", f"kind={kind}")
        equal((done["name"], done["format"], done["bytes"]), (name, kind, 256 * MIB), "what import says")
        check(done["seconds"] > 0, "seconds")
        volume = it.json("volume", "show", name)
        equal((volume["size"], volume["labels"]), (256 * MIB, {"kind": kind}), "the volume")
        check(volume["referenced"] <= 6 * MIB, f"{name} takes {volume['referenced']} bytes for 4 MiB of data")
        it.brindle("snapshot", "create", f"{name}@first")

        out = it.path(f"{name}.out")
        done = it.json("export", name, out)
        equal((done["bytes"], done["format"]), (256 * MIB, "raw"), "what export says")
        run("cmp", raw, out)
        check(allocated(out) <= 6 * MIB, f"{out} takes {allocated(out)} bytes for 4 MiB of data")
        equal(done["allocated"], allocated(out), "allocated")
        again = it.path(f"{name}.qcow2")
        equal(it.json("export", f"{name}@first", again)["format"], "qcow2", "the format by the file's name")
        check(allocated(again) <= 8 * MIB, f"{again} takes {allocated(again)} bytes")
        equal(run("qemu-img", "compare", raw, again).strip(), "Images are identical.", "qemu-img compare")
        run("qemu-img", "check", again)

    # A volume that is in use goes out as of one moment, and no trace of that stays.
    device = it.brindle("attach", "from-raw").strip()
    it.brindle("export", "from-raw", it.path("live.img"), "--format", "qcow2")
    equal(run("qemu-img", "compare", raw, it.path("live.img")).strip(), "Images are identical.", "qemu-img compare")
    equal([entry["name"] for entry in it.json("snapshot", "list", "from-raw")], ["from-raw@first"], "snapshots")
    run("cmp", raw, device)
    it.brindle("detach", "from-raw")

    # The file's name is never taken for a protocol's.
    odd = it.path("nbd:a,b=c.img")
    os.rename(raw, odd)
    it.brindle("import", odd, "odd")
    it.brindle("export", "odd", it.path("file:x,y.img"))
    run("cmp", odd, it.path("file:x,y.img"))
    text = it.brindle("export", "odd", it.path("file:x,y.img"), "--force")
    check("256 MiB" in text, f"what export tells people: {text!r}")
    equal([name for name in os.listdir(it.top) if ".part" in name], [], "unfinished files")
    equal(read(odd)[:5000] == noise(5000, 0), True, "the source is as it was")
