"""peers.py: the servers that are measured, Brindle's own among them: how each is started, found and stopped.

Holds: 1. A server runs on core 0, what loads it on core 1.
       2. Only the server that is being measured runs: the others are stopped (SIGSTOP) meanwhile, so that nobody's tidying in the
          background is on another's bill.
       3. Whatever was started is ended, and its files are gone, when the bench ends."""

import os
import shutil
import signal
import time

import children
from children import Failed

SERVER_CORE, CLIENT_CORE = "0", "1"
START_SECONDS, END_SECONDS, COMMAND_SECONDS = 20, 10, 30


class Server:
    """A program that serves NBD on a Unix socket."""

    def __init__(self, name, command, socket, export="", durability="", log=None):
        self.name, self.command, self.socket, self.export, self.durability = name, command, socket, export, durability
        self.log = log or os.devnull
        self.process = None
        self.stopped = False

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        with open(self.log, "ab") as log:
            self.process = children.start(["taskset", "-c", SERVER_CORE] + self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        try:
            while not os.path.exists(self.socket):
                if self.process.poll() is not None:
                    raise Failed(f"{self.name} ended as it started (status {self.process.returncode}){self._last_words()}")
                if time.monotonic() > deadline:
                    raise Failed(f"{self.name} serves nothing after {START_SECONDS} s{self._last_words()}")
                time.sleep(0.02)
            time.sleep(0.1)
        except BaseException:
            self.kill()
            raise
        return self

    def must_run(self):
        """A server that has ended meanwhile is no server; whoever asks hears of it, and not some file that is missing."""
        if self.process.poll() is not None:
            raise Failed(f"{self.name} has ended by itself (status {self.process.returncode}){self._last_words()}")

    def _last_words(self):
        if self.log == os.devnull:
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def pause(self):
        if self.process and not self.stopped:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped = True

    def go_on(self):
        if self.process and self.stopped:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = False

    def end(self):
        if not self.process:
            return
        self.go_on()
        if not children.end(self.process, END_SECONDS):
            print(f"  {self.name} did not end when it was asked to, and was killed")
        self.process = None

    def kill(self):
        if self.process:
            children.kill(self.process)
            self.process = None

    def uri(self):
        return f"nbd+unix:///{self.export}?socket={self.socket}"

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("VmRSS:")), 0)


class Guest(Server):
    """A server in a process that somebody else started, and ends."""

    def __init__(self, name, process, socket, export, durability):
        super().__init__(name, [], socket, export, durability)
        self.process = process

    def start(self):
        return self

    def end(self):
        self.go_on()

    def kill(self):
        self.go_on()


class Peers:
    """Starts each server when it is first asked for, and knows which of them are running."""

    def __init__(self, programs, work, size_mib):
        self.programs, self.work, self.size = programs, work, size_mib
        self.running = {}
        self.durability = {}
        self.kinds = {
            "brindle-disk": lambda: self._brindle_disk("brindle-disk", "state", "device", "a write is acknowledged when the device has it"),
            "brindle-staged": lambda: self._brindle_disk("brindle-staged", "staged", "staged",
                                                         "a write is acknowledged from memory that outlives the process"),
            "brindle-memory": self._brindle_memory,
            "empty": self._empty,
            "nbdkit-memory": self._nbdkit_memory,
            "nbdkit-file": self._nbdkit_file,
            "nbdkit-cached": self._nbdkit_cached,
            "qemu-raw": self._qemu_raw,
            "qcow2": self._qcow2,
            "qcow2-subclusters": self._qcow2_subclusters,
        }

    def path(self, name):
        return os.path.join(self.work, name)

    def get(self, name):
        """The server, running, and every other one stopped."""
        self.pause_all(except_for=name)
        if name not in self.running:
            self.running[name] = self.kinds[name]()
            self.durability[name] = self.running[name].durability
        try:
            self.running[name].must_run()
        except Failed:
            self.kill(name)  # the next question starts it anew
            raise
        self.running[name].go_on()
        return self.running[name]

    def has(self, name):
        return name in self.running

    def add(self, server):
        self.pause_all(except_for=server.name)
        self.running[server.name] = server.start()
        self.durability[server.name] = server.durability
        return server

    def pause_all(self, except_for=None):
        for name, server in self.running.items():
            if name != except_for:
                server.pause()

    def end(self, name):
        if name in self.running:
            self.running.pop(name).end()

    def kill(self, name):
        """A server that did not answer is of no more use, and would not end when it is asked to. The next question starts it anew."""
        if name in self.running:
            self.running.pop(name).kill()

    def kill_all(self):
        """When the bench ends: nothing that a server still has to say matters."""
        for name in list(self.running):
            self.kill(name)

    def cli(self, *words, state="state"):
        return children.run([self.programs["brindle"], "--state", self.path(state), *words], f"brindle {' '.join(words)}", COMMAND_SECONDS)

    # --- Brindle

    def _brindle_disk(self, name, state, ack, durability):
        command = [self.programs["brindled"], "--state", self.path(state), "--pool-size", f"{self.size * 3}M", "--ack", ack]
        server = Server(name, command, self.path(f"{state}/nbd.sock"), "v", f"{durability}; flush and FUA wait for fdatasync",
                        self.path(f"{name}.log"))
        shutil.rmtree(self.path(state), ignore_errors=True)
        server.start()
        try:
            self.cli("volume", "create", "v", "--size", f"{self.size}M", state=state)
        except BaseException:
            server.kill()
            raise
        return server

    def _brindle_memory(self):
        command = [self.programs["memory_server"], "--socket", self.path("memory.sock"), "--pool-size", f"{self.size * 4}M",
                   "--touch", f"{self.size * 4}M", f"v={self.size}M"]
        return Server("brindle-memory", command, self.path("memory.sock"), "v", "none: the pool is memory", self.path("memory.log")).start()

    # --- yardsticks and peers

    def _empty(self):
        command = [self.programs["empty_server"], "--socket", self.path("empty.sock"), "--size", str(self.size << 20)]
        return Server("empty", command, self.path("empty.sock"), "", "none: stores to memory").start()

    def _nbdkit_memory(self):
        command = ["nbdkit", "-f", "-U", self.path("kit.sock"), "memory", f"{self.size}M"]
        return Server("nbdkit-memory", command, self.path("kit.sock"), "", "none: stores to memory").start()

    def raw_file(self, name="raw"):
        """A file that was written once, whole, so that no peer measures the allocation of extents."""
        path = self.path(name)
        if not os.path.exists(path):
            with open(path, "wb") as file:
                piece = os.urandom(1 << 20)
                for _ in range(self.size):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        return path

    def _nbdkit_file(self):
        """What comes nearest to O_DIRECT: it pushes what it wrote to the device, and keeps little of it in the cache."""
        return self._nbdkit_on_file("nbdkit-file", "kitfile.sock", "cache=none",
                                    "cache=none: written to the page cache and from there to the device at once (there is no O_DIRECT)")

    def _nbdkit_cached(self):
        return self._nbdkit_on_file("nbdkit-cached", "kitcached.sock", "cache=default",
                                    "a write is acknowledged from the page cache; the kernel writes it some time later")

    def _nbdkit_on_file(self, name, socket, cache, durability):
        command = ["nbdkit", "-f", "-U", self.path(socket), "file", self.raw_file("raw-nbdkit"), cache]
        return Server(name, command, self.path(socket), "", durability).start()

    def _qemu(self, name, nodes, node):
        socket = self.path(name + ".sock")
        command = ["qemu-storage-daemon"]
        for blockdev in nodes:
            command += ["--blockdev", blockdev]
        command += ["--nbd-server", f"addr.type=unix,addr.path={socket}",
                    "--export", f"type=nbd,id=e,node-name={node},name=v,writable=on"]
        return Server(name, command, socket, "v", "O_DIRECT, io_uring: a write is acknowledged when the device has it",
                      self.path("qemu.log"))

    @staticmethod
    def _file_node(path, node="f"):
        return f"driver=file,filename={path},node-name={node},cache.direct=on,aio=io_uring"

    def _qemu_raw(self):
        return self._qemu("qemu-raw", [self._file_node(self.raw_file("raw-qemu")), "driver=raw,file=f,node-name=q,cache.direct=on"], "q").start()

    def qcow2(self, name, image, backing=None):
        """Not started: of an image, over another one where `backing` is given."""
        nodes = [self._file_node(image), "driver=qcow2,file=f,node-name=q,cache.direct=on"]
        if backing:
            nodes = [self._file_node(backing, "bf"), "driver=qcow2,file=bf,node-name=b,cache.direct=on,read-only=on",
                     self._file_node(image), "driver=qcow2,file=f,backing=b,node-name=q,cache.direct=on"]
        return self._qemu(name, nodes, "q")

    def image(self, name, *options):
        path = self.path(name)
        if os.path.exists(path):
            os.unlink(path)
        children.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, f"{self.size}M"], "qemu-img create", COMMAND_SECONDS)
        return path

    def _qcow2(self):
        return self.qcow2("qcow2", self.image("plain.qcow2")).start()

    def _qcow2_subclusters(self):
        return self.qcow2("qcow2-subclusters", self.image("sub.qcow2", "-o", "extended_l2=on,cluster_size=128k")).start()
