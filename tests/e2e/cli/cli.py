"""cli.py: brindle as a user types it, against a brindled in a folder of its own.

The daemon and its little NBD client are those of the stories in ../daemon.
"""

import contextlib
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon"))
from daemon import MIB, Daemon, check, equal, folder, skip  # noqa: E402,F401
from nbd import Client  # noqa: E402

BRINDLE = os.environ.get("BRINDLE", "build/brindle")


class Brindle:
    """One state folder; each call runs the program to its end."""

    def __init__(self, state):
        self.state = state

    def run(self, *arguments, timeout=60, **more):
        done = subprocess.run([BRINDLE, "--state", self.state, *arguments], capture_output=True, timeout=timeout, **more)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def text(self, *arguments, code=0):
        """What it says to people."""
        got, out, err = self.run(*arguments)
        equal(got, code, f"brindle {' '.join(arguments)}: exit code; stderr {err!r}, stdout {out!r}")
        equal(err, "", f"brindle {' '.join(arguments)}: standard error of a success")
        return out

    def json(self, *arguments, code=0):
        """The one document of --json."""
        return json.loads(self.text("--json", *arguments, code=code))

    def refused(self, *arguments, code="invalid", exit=1, says=""):
        """It must fail so, in both forms, and say so in one line with nothing before it."""
        shown = f"brindle {' '.join(arguments)}"
        got, out, err = self.run(*arguments)
        equal((got, out), (exit, ""), f"{shown}: exit code and stdout; stderr {err!r}")
        check(err.startswith("brindle: ") and err.count("\n") == 1 and err.endswith("\n"), f"{shown}: not one line: {err!r}")
        check(says in err, f"{shown}: the error does not say {says!r}: {err!r}")
        got, out, err = self.run("--json", *arguments)
        equal((got, out), (exit, ""), f"{shown} --json: exit code and stdout; stderr {err!r}")
        document = json.loads(err)
        equal(list(document), ["error"], f"{shown} --json: keys")
        equal(set(document["error"]), {"code", "message"}, f"{shown} --json: keys of the error")
        equal(document["error"]["code"], code, f"{shown} --json: code; {document}")
        return document["error"]["message"]

    def write(self, volume, offset, data):
        client = Client(os.path.join(self.state, "nbd.sock"), volume)
        for at in range(0, len(data), MIB):
            client.write(offset + at, data[at : at + MIB])
        client.flush()
        client.send(2)  # disconnect, and wait for it: a connection counts as a client
        client.sock.recv(1)
        client.close()

    def read(self, name, offset, length):
        client = Client(os.path.join(self.state, "nbd.sock"), name)
        data = client.read(offset, length)
        client.send(2)
        client.sock.recv(1)
        client.close()
        return data

    def free(self):
        return self.json("sync")["pool"]["free"]


@contextlib.contextmanager
def running(*options):
    """A daemon, and brindle for it."""
    with folder() as state, Daemon(state, "--pool-size", "1G", *options) as daemon:
        brindle = Brindle(state)
        brindle.daemon = daemon
        yield brindle
        daemon.stop()  # does no harm where the story ended it
