"""engine.py: an engine alone in a process (engine_bench), told what to do line by line."""

import contextlib
import json
import os
import select
import subprocess

import children
from children import Failed
from peers import SERVER_CORE, Guest

END_SECONDS = 20


class Engine:
    """`path`: the pool's file; None: in memory. Used as a context; its file goes with it. `hollow`: the payload of the pool is forgotten
    (hollow_device.h); what is read instead is a file of `payload_mib`, or memory where there is none."""

    def __init__(self, bench, pool, path=None, create=True, memory="256M", second=False, keep=False, hollow=False, payload_mib=0):
        self.bench, self.path, self.keep = bench, path, keep
        self.payload = path + ".payload" if path and payload_mib else None
        for old in (path, self.payload):
            if old and create and os.path.exists(old):
                os.unlink(old)
        command = [bench.programs["engine_bench"], "--pool-size", pool, "--memory", memory]
        command += ["--file", path] if path else []
        command += [] if create else ["--open"]
        command += ["--hollow"] if hollow else []
        command += ["--payload-file", self.payload, "--payload-size", f"{payload_mib}M"] if self.payload else []
        command += ["--second", "--core", "0"] if second else []
        if not second:
            command = ["taskset", "-c", SERVER_CORE] + command
        bench.peers.pause_all()
        self.name = f"engine on {'disk' if path else 'memory'}"
        self.process = children.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        bench.record_command(" ".join(command))
        try:
            self._answer("start")
        except BaseException:
            self.__exit__(Failed)
            raise

    def __enter__(self):
        return self

    def __exit__(self, failed=None, *_):
        """The pool is closed in order, but for a failure: who did not answer is not waited for again."""
        try:
            self.process.stdin.close()
            if not failed:
                self.process.wait(END_SECONDS)
        except OSError:
            pass
        except subprocess.TimeoutExpired:
            print(f"  {self.name} did not close its pool in {END_SECONDS} s, and was killed")
        children.kill(self.process)
        self.process.stdout.close()
        self.process.stderr.close()
        for path in (self.path, self.payload):
            if path and not self.keep and os.path.exists(path):
                os.unlink(path)

    def _answer(self, line):
        patience_s = self.bench.patience_s(60 if self.bench.quick else 1200)
        ready, _, _ = select.select([self.process.stdout], [], [], patience_s)
        if not ready:
            raise Failed(f"{self.name}: {line}: cut, it had not ended after {patience_s:.0f} s")
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

    def grow(self):
        """To as large as the pool may become: how it grows, with zeroes before the log, is not what is asked."""
        size = (self.tell("status")["free"] >> 20) * 95 // 100
        self.tell("volume", name="grown", size=f"{size}M")
        self.tell("load", name="grown", once=1, pattern="sequential", block="128K", depth=8)
        self.tell("remove", names="grown")
        self.tell("sync")

    def weave(self, size):
        """A volume of so many GiB, each block written once: a map like that of one written at random, sooner had."""
        self.tell("volume", name="v", size=f"{size}G")
        self.tell("load", name="v", once=1, pattern="woven", depth=128, untimed=1)
        self.tell("sync")

    @contextlib.contextmanager
    def served(self, name):
        """The volume `v` over NBD, as a server of that name."""
        socket = self.bench.peers.path(name + ".sock")
        self.tell("serve", socket=socket)
        self.bench.peers.add(Guest(name, self.process, socket, "v", "as the engine on disk; its payload is forgotten"))
        try:
            yield
        finally:
            self.bench.peers.end(name)
