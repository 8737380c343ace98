"""kill.py: what the stories in this folder share: for how long they go on, what they count, and clients with a journal.

A story is a script: `STORY [--seconds N] [--seed N]`. What is not as expected raises. Its last line is
`N kills, N operations, N failures`, whatever happened; it leaves with 1 when something failed, with 77 where the machine lacks something.

Holds:  everything that a story started is ended by its process id, and everything that it mounted is gone, however it ends.
"""

import argparse
import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
for folder_name in ("daemon", "attach"):
    sys.path.insert(0, os.path.join(HERE, "..", folder_name))
from daemon import Daemon, check, equal, folder, skip  # noqa: E402,F401  the stories take them from here
from nbd import FLUSH, READ, WRITE, Client  # noqa: E402

BLOCK = 4096
TRIM, WRITE_ZEROES = 4, 6
FUA = 1


class Story:
    """Counts, knows when it is time to end, and draws from one seed."""

    def __init__(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("--seconds", type=float, default=6)
        parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
        arguments = parser.parse_args()
        self.seconds = arguments.seconds
        self.seed = arguments.seed
        self.rng = random.Random(self.seed)
        self.kills = 0
        self.operations = 0

    def begin(self):
        self.end = time.monotonic() + self.seconds

    def goes_on(self, kills_min=3):
        """So many kills at least, however slow the machine is."""
        return time.monotonic() < self.end or self.kills < kills_min


@contextlib.contextmanager
def story():
    it = Story()
    failures = 0
    # Whoever ends a story early wants its daemons and mounts gone too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield it
    except Exception:
        traceback.print_exc()
        print(f"again with: --seed {it.seed} (what runs at once may come in another order)", file=sys.stderr)
        failures = 1
    sys.stderr.flush()
    print(f"{it.kills} kills, {it.operations} operations, {failures} failures", flush=True)
    if failures:
        sys.exit(1)


def say(*words):
    print(*words, flush=True)


class Writer:
    """An NBD client with many requests under way that remembers what it was told, and whose daemon may die at any time.

    Holds:  never two requests at once for one block, so each block holds the last that was acknowledged, or one that was under
            way when the connection was lost.
    """

    DEPTH = 16

    def __init__(self, story, path, export, blocks, seed):
        self.story, self.path, self.export, self.blocks = story, path, export, blocks
        self.rng = random.Random(seed)
        self.number = 0
        self.known = {}     # block: the number that it holds; 0, zeroes
        self.possible = {}  # block: numbers that it may hold instead
        self.client = None
        self.reset()

    def reset(self):
        self.under_way = {}  # cookie: (kind, [(block, number)])
        self.busy = set()

    def content(self, block, number):
        if number == 0:
            return bytes(BLOCK)
        return (block.to_bytes(8, "little") + number.to_bytes(8, "little")) * (BLOCK // 16)

    def connect(self):
        self.client = Client(self.path, self.export)

    def lost(self):
        """The connection is gone: what was not answered may have happened or not."""
        if self.client:
            self.client.close()
        self.client = None
        for kind, changes in self.under_way.values():
            for block, number in changes if kind != "read" else []:
                self.possible.setdefault(block, set()).add(number)
        self.reset()

    def compare(self, block, there, known):
        number = int.from_bytes(there[8:16], "little")
        check(there == self.content(block, number), f"{self.export}, block {block} is torn or another's: {there[:32].hex()}")
        allowed = {known} | self.possible.get(block, set())
        check(number in allowed, f"{self.export}, block {block} holds {number}, and may hold {sorted(allowed)}")
        return number

    def check_all(self, count_max=1 << 30):
        """Reads every block that was ever written (so many of them at most), and knows again what each holds."""
        blocks = sorted(set(self.known) | set(self.possible))
        for block in blocks if len(blocks) <= count_max else self.rng.sample(blocks, count_max):
            there = self.client.read(block * BLOCK, BLOCK)
            self.known[block] = self.compare(block, there, self.known.get(block, 0))
            self.possible.pop(block, None)
            self.story.operations += 1

    def ask(self):
        """Sends one more request."""
        kind = self.rng.choices(["write", "read", "zero", "flush"], [70, 20, 6, 4])[0]
        if kind == "flush":
            self.under_way[self.client.send(FLUSH)] = (kind, [])
            return
        count = self.rng.choice([1, 1, 1, 2, 8])
        first = self.rng.randrange(self.blocks - count)
        span = range(first, first + count)
        if any(block in self.busy for block in span):
            return
        flags = FUA if self.rng.random() < 0.1 else 0
        if kind == "write":
            self.send_write(first, count, flags)
        elif kind == "zero":
            self.send_zero(first, count, self.rng.choice([TRIM, WRITE_ZEROES]), flags)
        else:
            self.busy.update(span)
            cookie = self.client.send(READ, first * BLOCK, length=count * BLOCK)
            self.under_way[cookie] = (kind, [(block, None) for block in span])

    def send_write(self, first, count, flags=0):
        self.number += 1
        span = range(first, first + count)
        data = b"".join(self.content(block, self.number) for block in span)
        self.busy.update(span)
        self.under_way[self.client.send(WRITE, first * BLOCK, data=data, flags=flags)] = ("write", [(b, self.number) for b in span])

    def send_zero(self, first, count, kind=TRIM, flags=0):
        span = range(first, first + count)
        self.busy.update(span)
        cookie = self.client.send(kind, first * BLOCK, length=count * BLOCK, flags=flags)
        self.under_way[cookie] = ("zero", [(block, 0) for block in span])

    def answer(self):
        """Takes one answer. Gives its error; a refused request may have been carried out in part."""
        cookie, error = self.client.reply()
        kind, changes = self.under_way.pop(cookie)
        if kind == "read" and not error:
            there = self.client.take(len(changes) * BLOCK)
            for at, (block, _) in enumerate(changes):
                self.known[block] = self.compare(block, there[at * BLOCK:(at + 1) * BLOCK], self.known.get(block, 0))
                self.possible.pop(block, None)
        for block, number in changes:
            self.busy.discard(block)
            if kind == "read":
                continue
            if error:
                self.possible.setdefault(block, set()).add(number)
            else:
                self.known[block] = number
                self.possible.pop(block, None)
        self.story.operations += 1
        return error

    def work(self, seconds, errors=(0,)):
        """Keeps requests under way for so long. True: the connection still stands. `errors`: what an answer may say."""
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                while len(self.under_way) < self.DEPTH:
                    self.ask()
                error = self.answer()
                check(error in errors, f"{self.export}: an answer with error {error}")
            return True
        except (ConnectionError, BrokenPipeError):
            self.lost()
            return False

    def settle(self, errors=(0,)):
        """Waits for all answers."""
        while self.under_way:
            error = self.answer()
            check(error in errors, f"{self.export}: an answer with error {error}")


def quiet(writer):
    """No answer comes: for as long as this was waited."""
    return not select.select([writer.client.sock], [], [], 0.3)[0]


def verify(daemon):
    """The daemon's own look at everything, with it running."""
    daemon.post("/v1/check")
    until = time.monotonic() + 120
    while True:
        report = daemon.get("/v1/check")
        if not report["running"]:
            break
        check(time.monotonic() < until, "the check does not end")
        time.sleep(0.05)
    equal((report["damage"], report["error"]), ([], ""), "what the check finds")


def output(*words, code=0, timeout=120):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    text = done.stdout.decode(errors="replace")
    equal(done.returncode, code, f"exit code of {' '.join(words)}, which says {text!r}")
    return text
