"""A file system stays mounted while the daemon is killed in a loop; programs that write, sync, rename and delete files only wait.
Every file that was synced has its bytes, before and after the mount is made anew, and fsck finds nothing."""

import hashlib
import os
import shutil
import threading
import time

from kill import check, equal, say, story
from host import FILE_SYSTEMS, host

FILES = 24


class Program:
    """Writes files and knows the checksum of each that was synced."""

    def __init__(self, it, where, number, seed):
        self.it, self.where, self.seed = it, os.path.join(where, f"program{number}"), seed
        self.sums = {}
        self.error = None
        self.stop = False
        self.steps = 0
        os.mkdir(self.where)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        import random
        rng = random.Random(self.seed)
        try:
            while not self.stop:
                self.step(rng)
                self.steps += 1
        except Exception as error:  # told by the story, which must not hang on it
            self.error = error

    def step(self, rng):
        name = f"file{rng.randrange(FILES)}"
        path = os.path.join(self.where, name)
        kind = rng.random()
        if kind < 0.6 or name not in self.sums:
            data = rng.randbytes(rng.choice([100, 5000, 70_000, 400_000]))
            with open(path + ".new", "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(path + ".new", path)
            sync_folder(self.where)
            self.sums[name] = hashlib.sha256(data).hexdigest()
        elif kind < 0.85:
            with open(path, "rb") as file:
                check(hashlib.sha256(file.read()).hexdigest() == self.sums[name], f"{path} reads as something else")
        else:
            os.unlink(path)
            sync_folder(self.where)
            del self.sums[name]

    def compare(self):
        there = sorted(name for name in os.listdir(self.where) if not name.endswith(".new"))
        equal(there, sorted(self.sums), f"the files in {self.where}")
        for name, expected in self.sums.items():
            with open(os.path.join(self.where, name), "rb") as file:
                equal(hashlib.sha256(file.read()).hexdigest(), expected, f"checksum of {name} in {self.where}")


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


with story() as it, host() as machine:
    kinds = sorted(FILE_SYSTEMS)
    programs = {}
    for kind in kinds:
        check(shutil.which(FILE_SYSTEMS[kind][0]), f"{FILE_SYSTEMS[kind][0]} is missing")
        machine.brindle("volume", "create", kind, "--size", "320M")
        where = machine.path("mnt", kind)
        machine.brindle("attach", kind, "--mkfs", kind, "--mount", where)
        programs[kind] = Program(it, where, 0, it.rng.randrange(1 << 32))
    try:
        it.begin()
        while it.goes_on():
            time.sleep(it.rng.uniform(0.1, 0.9))
            machine.daemon.kill()
            it.kills += 1
            time.sleep(it.rng.choice([0, 0, 0.1, 0.5]))
            machine.daemon.start()
            if it.kills % 5 == 0:
                kind = it.rng.choice(kinds)
                machine.brindle("snapshot", "create", f"{kind}@k{it.kills}")
    finally:
        for program in programs.values():
            program.stop = True
        for program in programs.values():
            program.thread.join(timeout=60)
    for kind, program in programs.items():
        check(not program.thread.is_alive(), f"{kind}: the program waits although the daemon is back")
        check(program.error is None, f"{kind}: the program failed: {program.error!r}")
        check(program.steps > 0, f"{kind}: the program did nothing")
        it.operations += program.steps
        program.compare()
        machine.brindle("detach", kind)
        machine.fsck(kind, kind)
        machine.brindle("attach", kind, "--mount", machine.path("mnt", kind))
        program.compare()
        machine.brindle("detach", kind)
    machine.brindle("check")
    say(f"seed {it.seed}: " + ", ".join(f"{kind} {program.steps} steps" for kind, program in programs.items()))
