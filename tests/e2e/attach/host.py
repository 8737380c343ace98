"""host.py: a brindled with the command line, and a machine that is left as it was found."""

import contextlib
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon"))
from daemon import MIB, Daemon, check, equal, folder  # noqa: E402,F401  the stories take them from here

BRINDLE = os.environ.get("BRINDLE", "build/brindle")
FILE_SYSTEMS = {
    "ext4": ["e2fsck", "-fn"],
    "xfs": ["xfs_repair", "-n"],
    "btrfs": ["btrfs", "check", "--readonly"],
}


def run(*words, code=0, timeout=90, **how):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, **how)
    text = done.stdout.decode(errors="replace")
    equal(done.returncode, code, f"exit code of {' '.join(words)}, which says {text!r}")
    return text


class Host:
    """A daemon in top/state, and `brindle` for it. What is still attached at the end is detached by force."""

    def __init__(self, top, *options):
        self.top = top
        self.state = os.path.join(top, "state")
        self.daemon = Daemon(self.state, *options)

    def path(self, *parts):
        return os.path.join(self.top, *parts)

    def call(self, *words, timeout=90, **how):
        """Exit code, stdout, stderr. These stories are about loop, which is everywhere; tests/guest has nbd's."""
        if "attach" in words[:2] and words[-1] != "attach" and "--driver" not in words:
            words = (*words, "--driver", "loop")
        done = subprocess.run([BRINDLE, "--state", self.state, *words], capture_output=True, timeout=timeout, **how)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def brindle(self, *words):
        code, out, err = self.call(*words)
        equal(code, 0, f"exit code of brindle {' '.join(words)}, which says {err!r}")
        return out

    def json(self, *words):
        return json.loads(self.brindle("--json", *words))

    def refused(self, *words, says, code=1, **how):
        """It must end with that code, nothing on stdout and one line that says so."""
        got, out, err = self.call(*words, **how)
        equal(got, code, f"exit code of brindle {' '.join(words)}, which says {out!r} {err!r}")
        equal(out, "", "stdout of a refusal")
        equal(err.count("\n"), 1, f"lines in {err!r}")
        check(err.startswith("brindle: "), f"it begins otherwise: {err!r}")
        check(says in err, f"it does not say {says!r}: {err!r}")
        return err

    def attachments(self):
        return {entry["name"]: entry for entry in self.json("attach")}

    def used(self):
        return self.json("sync")["pool"]["used"]

    def fsck(self, name, kind):
        """The file system's own check finds nothing."""
        device = self.brindle("attach", name).strip()
        run(*FILE_SYSTEMS[kind], device)
        self.brindle("detach", name)


@contextlib.contextmanager
def host(pool_size="2G"):
    for needed in ("/dev/fuse", "/dev/loop-control"):
        check(os.access(needed, os.R_OK | os.W_OK), f"{needed} cannot be used: these stories need root, FUSE and loop devices")
    with folder() as top:
        it = Host(top, "--pool-size", pool_size)
        with it.daemon:
            try:
                yield it
            finally:
                code, out, err = it.call("detach", "--all", "--force")
                left = [line for line in open("/proc/mounts") if top in line]
                loops = [line for line in run("losetup", "-l", "-n", "-O", "NAME,BACK-FILE").splitlines() if top in line]
                if sys.exc_info()[0] is None:
                    equal((code, left, loops), (0, [], []), f"exit code, mounts and loop devices at the end; it says {out!r} {err!r}")


def write(path, data):
    """Durable on return."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read(path):
    with open(path, "rb") as file:
        return file.read()


def noise(length, seed):
    """Bytes that no compression and no chance make equal."""
    import random
    return random.Random(seed).randbytes(length)
