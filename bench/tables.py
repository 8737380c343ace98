"""tables.py: tables beside the goals: servers by depth, size and mix; and reflink files just after a copy."""

import ctypes
import os
import subprocess

from children import Failed
from stats import column, median, rounds

SERVERS = ("brindle-disk", "brindle-staged", "qemu-raw", "qcow2", "qcow2-subclusters", "nbdkit-file", "nbdkit-cached", "brindle-memory",
           "nbdkit-memory", "empty")


def _cell(results):
    return median(column(results, "iops")) if results else ""


def _ask(runs, count):
    """Of a server that fails the cell stays empty; the others do not suffer for it."""
    failed = set()

    def careful(name, run):
        def once():
            if name in failed:
                return None
            try:
                return run()
            except Failed as error:
                print(f"  left out: {error}")
                failed.add(name)
                return None
        return once

    ran = rounds(count, {name: careful(name, run) for name, run in runs.items()})
    return {name: [] if name in failed else results for name, results in ran.items()}


def _by_server(bench, servers, title, columns, count):
    """`columns`: name -> the lean client's arguments."""
    ready = []
    for name in servers:
        try:
            if name in ("brindle-disk", "brindle-staged"):
                bench.disk_brindle(name)
            else:
                bench.filled(name)
            ready.append(name)
        except Failed as error:
            print(f"  left out: {error}")
    lines = {name: [name] for name in ready}
    for arguments in columns.values():
        ran = _ask({name: lambda name=name, arguments=arguments: bench.load.lean(name, *arguments) for name in ready}, count)
        for name in ready:
            lines[name].append(_cell(ran[name]))
    bench.tables[title] = (["requests/s, lean client"] + list(columns), list(lines.values()))


def _full(bench):
    count = bench.rounds
    bench.ms, bench.load.ms, bench.load.warm_ms = 200, 200, 100  # thousands of cells
    for rw in ("read", "write", "mixed"):
        for pattern in ("random", "sequential"):
            columns = {f"{block >> 10} KiB, depth {depth}": (rw, depth, block, None, "--pattern", pattern)
                       for block in (4096, 16384, 131072, 1 << 20) for depth in (1, 4, 32)}
            _by_server(bench, SERVERS, f"{rw}, {pattern}", columns, count)
    columns = {f"depth {depth}, a flush after every {every}": ("write", depth, 4096, None, "--flush-every", str(every))
               for depth in (1, 4, 32) for every in (1, 16)}
    columns["depth 32, never"] = ("write", 32, 4096)
    _by_server(bench, SERVERS, "4 KiB random write with flushes", columns, count)


def _own_mounts():
    """From here on the process has its own table of mounts: whatever it mounts goes with it, and so do the loop devices."""
    new_mounts = 0x20000  # CLONE_NEWNS
    if ctypes.CDLL(None).unshare(new_mounts) != 0:
        raise Failed("mounting needs root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def _reflink(bench, kind):
    """Random writes to a file on a loop-mounted file system, before and just after `cp --reflink`."""
    image, mount = bench.peers.path(f"{kind}.img"), bench.peers.path(kind)
    size = bench.size_mib * 3
    os.makedirs(mount, exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(size << 20)
    loop = ["-o", "loop,nodatasum" if kind == "btrfs" else "loop"]
    for command in ([f"mkfs.{kind}", "-q", "-f", image], ["mount", *loop, image, mount]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    try:
        path = os.path.join(mount, "file")
        with open(path, "wb") as file:
            for _ in range(bench.size_mib):
                file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        who = f"{kind} file"
        steady, after = [], []
        for number in range(bench.rounds):
            steady.append(bench.load.raw("randwrite", path=path, who=who))
            subprocess.run(["cp", "--reflink=always", path, os.path.join(mount, f"copy{number}")], check=True)
            after.append(bench.load.raw("randwrite", path=path, who=f"{who}, after a reflink"))
            os.unlink(os.path.join(mount, f"copy{number}"))
        return [kind, _cell(steady), _cell(after)]
    finally:
        subprocess.run(["umount", mount], check=False)
        os.unlink(image)


def ask(bench):
    _full(bench)
    lines = []
    for kind in ("btrfs", "xfs"):
        try:
            _own_mounts()
            lines.append(_reflink(bench, kind))
        except (Failed, OSError, subprocess.CalledProcessError) as error:
            print(f"  {kind} left out: {error}")
    bench.tables["Reflink files, 4 KiB random write, depth 32"] = (["file system", "steady", "just after cp --reflink"], lines)
