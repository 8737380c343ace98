"""daemon.py: a brindled in a folder of its own, and what the stories in this folder say about it.

A story is a script: what is not as expected raises, and everything that it started is ended.
"""

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BRINDLED = os.environ.get("BRINDLED", "build/brindled")
MIB = 1 << 20


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def equal(actual, expected, what):
    check(actual == expected, f"{what}: {actual!r}, expected {expected!r}")


@contextlib.contextmanager
def folder():
    """A folder of this story's own, gone afterwards."""
    path = tempfile.mkdtemp(prefix="brindle-daemon-")
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("brindle", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """Started on entering, killed on leaving."""

    def __init__(self, state, *options, environment=None, prefix=()):
        self.state = state
        self.options = options
        self.environment = environment
        self.prefix = prefix
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self):
        self.log = tempfile.TemporaryFile()
        command = [*self.prefix, BRINDLED, "--state", self.state, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=self.environment)
        self.ready = self.process.stdout.readline().decode()
        check(self.ready.startswith("ready"), f"no ready line but {self.ready!r}; log: {self.text()}")

    def text(self):
        self.log.seek(0)
        return self.log.read().decode()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM):
        """Ends it in order and gives the seconds that it took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        equal(code, 0, f"exit code after signal {number}; log: {self.text()}")
        return time.monotonic() - begin

    def control(self):
        return os.path.join(self.state, "control.sock")

    def nbd(self):
        return os.path.join(self.state, "nbd.sock")

    def ask(self, method, path, body=None, timeout=30):
        """Status and document."""
        connection = Connection(self.control(), timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def get(self, path):
        status, document = self.ask("GET", path)
        equal(status, 200, f"GET {path}: {document}")
        return document

    def post(self, path, **body):
        status, document = self.ask("POST", path, body)
        check(status in (200, 201, 202), f"POST {path}: {status} {document}")
        return document

    def refused(self, method, path, body, status, code):
        got, document = self.ask(method, path, body)
        equal((got, document.get("code")), (status, code), f"{method} {path} {str(body)[:200]}: {document}")
        return document["detail"]

    def processor_seconds(self):
        """What all its threads have used so far."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self, key="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


def run(*options, prefix=(), environment=None, cwd=None, timeout=20):
    """Runs brindled to its end: exit code, stdout, stderr, seconds."""
    begin = time.monotonic()
    done = subprocess.run([*prefix, BRINDLED, *options], capture_output=True, timeout=timeout, env=environment, cwd=cwd)
    return done.returncode, done.stdout.decode(), done.stderr.decode(), time.monotonic() - begin


def fails(*options, code=1, says="", seconds=2, **how):
    """It must end with that code and one line of error that says so."""
    got, out, err, took = run(*options, **how)
    equal(got, code, f"brindled {' '.join(options)}: exit code; stderr: {err}")
    equal(out, "", "stdout of a refusal")
    errors = [line for line in err.splitlines() if line.startswith("brindled: ")]
    equal(len(errors), 1, f"lines of error in {err!r}")
    check(says in errors[0], f"the error does not say {says!r}: {errors[0]!r}")
    check(took < seconds, f"it took {took:.2f} s")
    return errors[0]


class Untouched:
    """That a file has the same bytes, length and times afterwards."""

    def __init__(self, path):
        self.path = path

    def look(self):
        there = os.stat(self.path)
        with open(self.path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        return digest, there.st_size, there.st_mtime_ns, there.st_ctime_ns, there.st_ino, there.st_blocks

    def __enter__(self):
        self.before = self.look()

    def __exit__(self, kind, *_):
        if kind is None:
            equal(self.look(), self.before, f"{self.path} was touched")


def make_pool(state):
    """A pool with a volume and a snapshot in it, closed in order."""
    with Daemon(state, "--pool-size", "256M") as daemon:
        daemon.post("/v1/volumes", name="db", size="64M")
        daemon.post("/v1/snapshots", names=["db@monday"])
        daemon.stop()
    return os.path.join(state, "pool")
