"""engine.py: an engine alone in a process (engine_bench), told what to do line by line."""

import json
import os
import select
import subprocess

from peers import SERVER_CORE, Failed


class Engine:
    """`path`: the pool's file; None: in memory. Used as a context; its file goes with it."""

    def __init__(self, bench, pool, path=None, create=True, memory="256M", second=False, keep=False):
        self.bench, self.path, self.keep = bench, path, keep
        if path and create and os.path.exists(path):
            os.unlink(path)
        command = [bench.programs["engine_bench"], "--pool-size", pool, "--memory", memory]
        command += ["--file", path] if path else []
        command += [] if create else ["--open"]
        command += ["--second", "--core", "0"] if second else []
        if not second:
            command = ["taskset", "-c", SERVER_CORE] + command
        bench.peers.pause_all()
        self.name = f"engine on {'disk' if path else 'memory'}"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        bench.record_command(" ".join(command))
        self._answer("start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        if self.path and not self.keep and os.path.exists(self.path):
            os.unlink(self.path)

    def _answer(self, line):
        ready, _, _ = select.select([self.process.stdout], [], [], max(1, self.bench.seconds_left()))
        if not ready:
            self.process.kill()
            raise Failed(f"{self.name}: {line}: no time was left for it")
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            raise Failed(f"{self.name}: {line}: {self.process.stderr.read().strip()}")
        return json.loads(answer)

    def tell(self, verb, **words):
        """One command; its answer as a dictionary."""
        line = " ".join([verb] + [f"{key}={value}" for key, value in words.items()])
        self.bench.peers.pause_all()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError:
            pass
        answer = self._answer(line)
        if answer:
            self.bench.record(f"{self.name}: {line}", None, answer)
        return answer

    def fill(self, name="v", size=None, pattern="dense", times=1):
        """Makes the volume where `size` is given, and writes each of its blocks once (or more often)."""
        if size:
            self.tell("volume", name=name, size=size)
        for _ in range(times):
            self.tell("load", name=name, once=1, pattern=pattern, depth=32)
