"""goals.py: the numbers that are asked for, one row each, and whether they are reached.

Holds: every row is in every report, measured or not; `met` is computed from the median and from nothing else."""

import dataclasses


@dataclasses.dataclass
class Row:
    id: str
    key: str
    question: str
    goal: float
    most: bool = False  # the value may be at most the goal; otherwise at least
    unit: str = ""
    values: list = None  # one a round
    control: list = None  # the base against itself
    note: str = ""

    @property
    def value(self):
        if not self.values:
            return None
        ordered = sorted(self.values)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2

    @property
    def met(self):
        value = self.value
        return value is not None and (value <= self.goal if self.most else value >= self.goal)

    def json(self):
        return {
            "id": self.id,
            "question": self.question,
            "goal": self.goal,
            "value": self.value,
            "low": min(self.values) if self.values else None,
            "high": max(self.values) if self.values else None,
            "met": self.met,
            "at": "most" if self.most else "least",
            "unit": self.unit,
            "control_low": min(self.control) if self.control else None,
            "control_high": max(self.control) if self.control else None,
            "note": self.note,
        }


def _rows():
    def least(id_, key, question, goal, unit=""):
        return Row(id_, key, question, goal, False, unit)

    def most(id_, key, question, goal, unit=""):
        return Row(id_, key, question, goal, True, unit)

    write = "4 KiB random write, depth 32"
    yield least("disk-write", "qemu", f"{write}, fio over NBD, disk: Brindle / qemu-storage-daemon, raw file, O_DIRECT", 1.5)
    yield least("disk-write", "nbdkit", f"{write}, fio over NBD, disk: Brindle / nbdkit file", 5)
    yield least("ceiling-write", "", f"{write}, lean client, pool in memory: Brindle / empty server", 0.8)
    yield least("ceiling-read", "", "4 KiB random read, depth 32, lean client, pool in memory: Brindle / empty server", 0.8)
    yield least("memory-write", "", f"{write}, fio, pool in memory: Brindle / nbdkit memory", 1.0)
    for rw in ("write", "read"):
        yield most("depth1", rw, f"4 KiB random {rw}, depth 1, lean client, pool in memory: p50 of Brindle / of the empty server", 1.3)
    yield least("qcow2", "", f"{write}, lean client, disk, steady: Brindle / qcow2", 4)
    yield least("qcow2-snap", "", f"{write}, lean client, disk, just after an external snapshot, spread thinly: Brindle / qcow2", 15)
    yield least("raw-write", "lean", f"{write}, lean client, disk, acknowledged by the device: Brindle / raw file", 1.7)
    yield least("raw-write", "staged", f"{write}, lean client, disk, acknowledged from staging memory: Brindle / raw file", 3.5)
    yield least("raw-write", "engine32", f"{write}, disk: the engine alone in process / raw file", 2.5)
    yield least("raw-write", "engine256", "4 KiB random write, disk: the engine alone in process at depth 256 / raw file at depth 32", 3.5)
    yield least("fua", "lean1", "4 KiB write with FUA, depth 1, lean client: Brindle / raw write and fdatasync", 0.95)
    yield least("fua", "fio1", "4 KiB write and flush, depth 1, fio: Brindle / raw write and fdatasync", 0.6)
    yield least("fua", "lean32", "4 KiB write with FUA, depth 32, lean client: Brindle / raw write and fdatasync", 4)
    yield least("disk-read", "cached", "4 KiB random read, depth 32, lean client, maps cached: Brindle / raw file", 0.95)
    yield least("disk-read", "large", "4 KiB random read, depth 32, lean client, 1 TiB mapped in 256 MiB of memory: Brindle / raw file", 0.4)
    for device in ("disk", "memory"):
        for writes, where in AFTER_SNAP:
            what = f"first overwrite after a snapshot / steady, {device}, {writes} writes a leaf, {where}"
            yield least("after-snap", f"{device}-{writes}-iops", f"{what}: IOPS", 0.98)
            yield most("after-snap", f"{device}-{writes}-p99", f"{what}: p99", 1.05)
    history = "ten volumes under full write load, a snapshot of each every second, the last 600 kept / no snapshots"
    yield least("history", "iops", f"{history}: IOPS", 0.95)
    yield most("history", "p99", f"{history}: p99", 1.1)
    for by in ("snapshots", "clones"):
        yield least("deep", f"{by}-iops", f"reads through 1,000 {by} / through none: IOPS", 0.98)
        yield most("deep", f"{by}-p99", f"reads through 1,000 {by} / through none: p99", 1.05)
        yield most("deep", f"{by}-memory", f"reads through 1,000 {by} / through none: memory", 1.05)
    for what in ("snapshot", "clone"):
        yield most("snap", f"{what}-idle", f"{what} inside the daemon, idle, disk: p50", 0.2, "ms")
        yield most("snap", f"{what}-load", f"{what} under full write load, disk: p99 / p99 of a flush", 1.2)
    yield least("clones", "", "clones a second, made in one command, durable", 50_000, "/s")
    yield most("delete", "writes", "deleting a snapshot: device writes before the command returns", 1)
    yield most("delete", "freed", "deleting a snapshot: nanoseconds in the background for each freed block", 50, "ns")
    yield most("delete", "shared", "deleting a snapshot: nanoseconds in the background for each shared block", 2, "ns")
    yield least("seq-read", "before", "sequential 4 KiB read of a volume written at random, depth 32, before tidying / raw 4 KiB random read", 0.9)
    yield least("seq-read", "after", "sequential 128 KiB read of a volume written at random, after tidying / of one written in order", 0.9)
    yield least("aged", "write", "after overwriting ten times at 90 % full: random write / raw random write", 0.7)
    yield least("aged", "read", "after overwriting ten times at 90 % full: sequential read after tidying / fresh", 0.7)
    amp = "bytes written to the device / by the user, compaction included"
    yield most("amp-write", "depth32", f"{amp}: depth 32", 1.15)
    yield most("amp-write", "fua1", f"{amp}: depth 1 with FUA", 2.2)
    yield most("amp-write", "large", f"{amp}: simulated, a 1 TiB volume at random in 256 MiB of memory", 1.3)
    yield most("amp-space", "", "snapshotted, 1 % overwritten at random, synced: growth of pool.used / bytes written", 1.02)
    yield most("map-memory", "random", "resident bytes for each mapped block that is cached", 13, "B")
    yield most("map-memory", "sequential", "resident bytes for each mapped block that is cached, written in sequence", 5, "B")
    yield most("replay", "depth1", "milliseconds after a crash for each GiB of flushed log, written at depth 1", 50, "ms")
    yield most("replay", "depth32", "milliseconds after a crash for each GiB of flushed log, written at depth 32", 50, "ms")
    yield most("replay", "tail", "milliseconds after a crash for the unflushed tail (of at most 64 MiB)", 100, "ms")
    yield most("idle", "", "daemon with 1,000 volumes and 100 connections, no traffic: CPU, percent of a core", 0.5, "%")
    yield least("cores", "", "two cores / one, two volumes, pool in memory, load in process: IOPS", 1.7)


# How many writes a leaf of 2 MiB gets between two snapshots, and how they lie. 32 pieces of 64 KiB make a leaf, so more than
# 32 cannot be spread.
AFTER_SNAP = [(1, "spread thinly"), (4, "spread thinly"), (40, "densely"), (400, "densely")]


class Goals:
    def __init__(self):
        self.rows = list(_rows())

    def ids(self):
        return list(dict.fromkeys(row.id for row in self.rows))

    def set(self, id_, key, values, control=None, note=""):
        row = next(row for row in self.rows if (row.id, row.key) == (id_, key))
        row.values, row.control, row.note = list(values), list(control) if control else None, note

    def leave(self, id_, note):
        """Says why the rows of `id_` that have no value have none."""
        for row in self.rows:
            if row.id == id_ and not row.values and not row.note:
                row.note = note

    def met(self):
        return sum(row.met for row in self.rows)
