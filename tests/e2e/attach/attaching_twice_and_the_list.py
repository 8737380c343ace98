"""What is attached already is refused with its device, the list works without a daemon, and all can be detached at once."""

import json
import os

from host import equal, host, write

with host() as it:
    equal(it.brindle("attach"), "nothing is attached\n", "the list of none")
    equal(it.json("attach"), [], "the list of none")
    it.brindle("volume", "create", "a", "--size", "64M")
    it.brindle("volume", "create", "b", "--size", "64M")
    where = it.path("mnt")
    one = it.json("attach", "a", "--mkfs", "ext4", "--mount", where)
    two = it.json("attach", "b")
    equal(sorted(one), ["connected", "device", "driver", "mount", "name", "pid", "read_only", "size", "uuid"], "keys")
    equal((one["mount"], two["mount"]), (where, None), "mounts")
    equal(one["driver"], "loop", "the driver")
    it.refused("attach", "a", says=f"attached already, as {one['device']}")
    it.refused("attach", "a", "--mount", it.path("elsewhere"), says="attached already")
    it.brindle("volume", "create", "c", "--size", "64M")
    it.refused("attach", "c", "--mkfs", "ext4", "--mount", where, says="has something mounted already")
    it.refused("attach", "c", "--mount", it.path("empty"), says="it holds no file system")
    write(it.path("file"), b"")
    it.refused("attach", "c", "--mkfs", "ext4", "--mount", it.path("file"), says=it.path("file"))
    it.refused("attach", "nothing", says="nothing")
    it.refused("attach", "c", "--driver", "floppy", says="floppy", code=2)
    if not os.path.exists("/sys/module/nbd"):
        it.refused("attach", "c", "--driver", "nbd", says="the kernel's nbd driver")
    it.refused("attach", "a@nothing", says="nothing")
    it.refused("attach", "-x", says="", code=2)
    it.refused("attach", "--mount", where, says="NAME", code=2)
    it.refused("detach", says="NAME or --all", code=2)
    it.refused("detach", "a", "--all", says="NAME or --all", code=2)
    it.refused("detach", "c", says="c is not attached")
    code, out, err = it.call("--json", "detach", "c")
    equal((code, out, json.loads(err)["error"]["code"]), (1, "", "not_found"), "a refusal as a document")
    equal([entry["name"] for entry in it.json("attach")], ["a", "b"], "the list")
    it.brindle("volume", "rename", "b", "beta")
    equal([entry["name"] for entry in it.json("attach")], ["a", "beta"], "the list after a rename")

    it.daemon.stop()
    equal([entry["device"] for entry in it.json("attach")], [one["device"], two["device"]], "the list without a daemon")
    it.refused("attach", "c", says="brindled", code=3)
    it.daemon.start()
    equal(it.json("detach", "--all"), {"detached": ["a", "beta"]}, "detach --all")
    equal(it.json("attach"), [], "the list at the end")
