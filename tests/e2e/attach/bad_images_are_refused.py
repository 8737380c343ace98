"""An import or export that cannot be done says why, and leaves neither a volume nor a part of a file."""

import os
import signal
import subprocess
import tempfile
import time

from host import BRINDLE, MIB, check, equal, host, noise, read, run, write


def volumes(it):
    return sorted(entry["name"] for entry in it.json("volume", "list"))


with host(pool_size="192M") as it:
    empty, odd, good = it.path("empty.img"), it.path("odd.img"), it.path("good.img")
    write(empty, b"")
    write(odd, noise(10_000, 1))
    write(good, noise(8 * MIB, 2))
    write(it.path("not.qcow2"), noise(8192, 3))
    write(it.path("torn.qcow2"), b"QFI\xfb" + noise(8188, 3))
    write(it.path("other.vmdk"), b"KDMV" + noise(8188, 3))
    it.refused("import", empty, "new", says="its length is zero")
    it.refused("import", it.path("missing.img"), "new", says="No such file")
    it.refused("import", it.top, "new", says="neither a file nor a block device")
    it.refused("import", odd, "new", says="10000 bytes is not a multiple of 4096: add --pad for a volume of 12288")
    it.refused("import", it.path("not.qcow2"), "new", says="--format raw")
    it.refused("import", it.path("torn.qcow2"), "new", says="no qcow2 image")
    it.refused("import", it.path("other.vmdk"), "new", says="vmdk")
    it.refused("import", good, "-new", says="", code=2)
    it.refused("import", good, "new@snap", says="snapshot")
    it.refused("import", good, "new", "--format", "vmdk", says="--format", code=2)
    equal(volumes(it), [], "volumes after refusals")

    it.brindle("import", odd, "odd", "--pad")
    equal(it.json("volume", "show", "odd")["size"], 12288, "a padded volume's size")
    it.brindle("export", "odd", it.path("odd.out"))
    equal(read(it.path("odd.out")) == read(odd) + bytes(2288), True, "a padded volume's bytes")
    it.refused("import", good, "odd", says="odd")

    # More than the pool has room for.
    large = it.path("large.img")
    with open(large, "wb") as file:
        for number in range(256):
            file.write(noise(MIB, number))
    it.refused("import", large, "large", says="not enough room")
    equal(volumes(it), ["odd"], "volumes after an import that found no room")
    check(it.used() < 16 * MIB, "its space is back")

    # Interrupted.
    process = subprocess.Popen([BRINDLE, "--state", it.state, "import", large, "large"], stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while "large" not in volumes(it) and process.poll() is None:
        check(time.monotonic() < until, "the import does not begin")
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    check(process.wait(timeout=60) in (1, 130), f"exit code {process.returncode} of an interrupted import")
    equal(volumes(it), ["odd"], "volumes after an interrupted import")

    it.brindle("import", good, "good")
    out = it.path("out.img")
    write(out, b"precious")
    it.refused("export", "good", out, says="there already")
    equal(read(out), b"precious", "the file that was there")
    it.brindle("export", "good", out, "--force")
    equal(read(out) == read(good), True, "the file after --force")
    it.refused("export", "nothing", it.path("x.img"), says="nothing")
    it.refused("export", "good@nothing", it.path("x.img"), says="nothing")
    it.refused("export", "good", it.path("no", "such", "x.img"), says="No such file")
    it.refused("export", "good", it.top, says="no ordinary file")

    with tempfile.TemporaryDirectory(prefix="brindle-small-") as small:
        run("mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", small)
        try:
            it.refused("export", "good", f"{small}/x.img", says="its disk is full")
            equal(os.listdir(small), [], "what a full disk keeps")
            write(f"{small}/x.img", b"precious")
            it.refused("export", "good", f"{small}/x.img", "--force", says="its disk is full")
            equal(read(f"{small}/x.img"), b"precious", "the file that was there")
        finally:
            run("umount", small)

    equal([name for name in os.listdir(it.top) if ".part" in name], [], "unfinished files")
    it.daemon.stop()
    it.refused("import", good, "new", says="brindled", code=3)
    it.refused("export", "good", it.path("x.img"), says="brindled", code=3)
    it.daemon.start()
