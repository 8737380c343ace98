"""State paths too long for a socket, folders and files that cannot be written, a file system that is full."""

import os
import subprocess

from daemon import Daemon, Untouched, check, equal, fails, folder, make_pool, skip


def mount(kind, options, source, target):
    os.makedirs(target, exist_ok=True)
    return subprocess.run(["mount", "-t", kind, "-o", options, source, target], capture_output=True).returncode == 0


with folder() as top:
    long_state = os.path.join(top, "x" * 100)
    error = fails("--state", long_state, says="too long for a socket")
    check("--state" in error, error)
    check(not os.path.exists(long_state), "a folder was made for a path that is too long")

    # Its absolute path is too long, but as it is given it is not.
    inner = os.path.join(top, "y" * 80)
    os.mkdir(inner)
    here = os.getcwd()
    os.environ["BRINDLED"] = os.path.abspath(os.environ.get("BRINDLED", "build/brindled"))
    import daemon as module
    module.BRINDLED = os.environ["BRINDLED"]
    os.chdir(inner)
    with Daemon("s", "--pool-size", "256M") as short:
        equal(short.get("/v1/volumes"), [], "volumes")
        short.stop()
    os.chdir(here)

    fails("--state", "/proc/nonsense", says="cannot be made")
    file = os.path.join(top, "file")
    open(file, "w").close()
    fails("--state", file, says="--state")
    fails("--state", os.path.join(top, "s"), "--pool", os.path.join(top, "missing"), says="give --create")
    fails("--state", os.path.join(top, "s"), "--pool", os.path.join(top, "no", "folder"), "--create", says="make its folder first")
    equal(sorted(os.listdir(os.path.join(top, "s"))), [], "the state folder of a refused daemon")

    if os.getuid() != 0:
        skip("the rest needs root")

    # A file that the user may read only.
    pool = make_pool(os.path.join(top, "made"))
    os.chmod(pool, 0o444)
    os.chmod(os.path.dirname(pool), 0o755)
    other = os.path.join(top, "other")
    os.mkdir(other, 0o777)
    os.chmod(other, 0o777)
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    with Untouched(pool):
        fails("--state", other, "--pool", pool, says="Permission denied", prefix=nobody)
        fails("--state", os.path.dirname(pool), says="cannot be written", prefix=nobody)

    # A file system that is read-only, and one that is full.
    small = os.path.join(top, "small")
    if not mount("tmpfs", "size=64M", "none", small):
        skip("nothing can be mounted here")
    try:
        subprocess.run(["cp", pool, os.path.join(small, "pool")], check=True)
        os.chmod(os.path.join(small, "pool"), 0o600)
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        with Untouched(os.path.join(small, "pool")):
            fails("--state", other, "--pool", os.path.join(small, "pool"), says="read-only")
            fails("--state", small, says="Read-only file system")
        subprocess.run(["mount", "-o", "remount,rw", small], check=True)
        os.unlink(os.path.join(small, "pool"))
        with open(os.path.join(small, "filler"), "wb") as filler:
            filler.write(bytes(62 << 20))
        fails("--state", other, "--pool", os.path.join(small, "pool"), "--create", says="pool")
        fails("--state", other, "--pool", os.path.join(small, "pool"), "--create", "--pool-size", "1G", says="No space left")
        check(not os.path.exists(os.path.join(small, "pool")), "a pool that could not be made was left behind")
    finally:
        subprocess.run(["umount", small], check=True)
