"""questions_engine.py: what is asked of the engine alone, in a process of its own (engine_bench)."""

import contextlib
import time

from engine import Engine
from goals import AFTER_SNAP
from stats import column, median, ratios, rounds


def _ms(bench):
    return {"ms": bench.ms + bench.warm_ms, "warm_ms": bench.warm_ms}


def _small(bench):
    """Of the volumes whose size does not matter much."""
    return 256 if bench.quick else 1024


def snap(bench):
    size = _small(bench)
    # Room for what the snapshots keep: hundreds of them within a second, and between any two the load goes on.
    with Engine(bench, f"{size * 8}M", bench.peers.path("engine.pool")) as engine:
        engine.fill(size=f"{size}M")
        engine.grow()
        engine.fill()
        count = 100 if bench.quick else 1000
        beside = {"count": 400 if bench.quick else 2000, "load_depth": 32}  # a p99 wants more than a median
        ran = rounds(bench.rounds, {
            "snapshot": lambda: engine.tell("latency", what="snapshot", count=count),
            "clone": lambda: engine.tell("latency", what="clone", count=count),
            "flush-load": lambda: engine.tell("latency", what="flush", **beside),
            "snapshot-load": lambda: engine.tell("latency", what="snapshot", **beside),
            "clone-load": lambda: engine.tell("latency", what="clone", **beside),
            "again": lambda: engine.tell("latency", what="flush", **beside),
        })
    control = ratios(ran["again"], ran["flush-load"], "p99_us")
    for what in ("snapshot", "clone"):
        bench.goals.set("snap", f"{what}-idle", [us / 1e3 for us in column(ran[what], "p50_us")])
        bench.goals.set("snap", f"{what}-load", ratios(ran[f"{what}-load"], ran["flush-load"], "p99_us"), control)


def clones_and_delete(bench):
    """On disk, since a clone is durable; the deletion's background work is the processor's alone, so in memory."""
    size = _small(bench)
    with Engine(bench, "4G", bench.peers.path("engine.pool")) as engine:
        engine.fill(size="64M")
        ran = [engine.tell("clones", count=10_000) for _ in range(bench.rounds)]
        bench.goals.set("clones", "", column(ran, "per_second"), note="10,000 in one command")
    with Engine(bench, f"{size * 4}M") as engine:
        engine.fill(size=f"{size}M", times=2)
        ran = [engine.tell("delete") for _ in range(bench.rounds)]
    bench.goals.set("delete", "writes", column(ran, "writes"))
    bench.goals.set("delete", "freed", column(ran, "ns_freed"))
    bench.goals.set("delete", "shared", column(ran, "ns_shared"))


def deep(bench):
    """One engine for each kind, so that memory can be told apart; all on memory, read after a new opening. The one without snapshots is
    written the same: what is overwritten lies scattered, which costs reads as much as ever snapshots did."""
    size, ms = _small(bench), _ms(bench)
    built = {}
    engines = {}
    with contextlib.ExitStack() as ending:
        for by in ("nothing", "snapshots", "clones"):
            engine = engines[by] = ending.enter_context(Engine(bench, f"{size * 3}M", memory="1G"))
            built[by] = engine.tell("chain", size=f"{size}M", by=by, count=1000)["head"]
            engine.tell("reopen")

        def read(by):
            return engines[by].tell("load", name=built[by], rw="read", **ms)

        # Every leaf is in memory afterwards, and nothing but what reads of the head brought.
        memory = {}
        for by, engine in engines.items():
            engine.tell("load", name=built[by], rw="read", pattern="dense", once=1)
            memory[by] = engine.tell("status")["cache_bytes"]
        ran = rounds(bench.rounds, {
            "nothing": lambda: read("nothing"), "snapshots": lambda: read("snapshots"), "clones": lambda: read("clones"),
            "again": lambda: read("nothing"),
        })
    for by in ("snapshots", "clones"):
        bench.goals.set("deep", f"{by}-iops", ratios(ran[by], ran["nothing"]), ratios(ran["again"], ran["nothing"]))
        bench.goals.set("deep", f"{by}-p99", ratios(ran[by], ran["nothing"], "p99_us"), ratios(ran["again"], ran["nothing"], "p99_us"))
        bench.goals.set("deep", f"{by}-memory", [memory[by] / memory["nothing"]], note="pages in the cache after every block was read")


def after_snap(bench):
    size = 256 if bench.quick else 2048
    leaves = size // 2
    for device in ("disk", "memory"):
        with Engine(bench, f"{size * 5}M", bench.peers.path("engine.pool") if device == "disk" else None) as engine:
            engine.fill(size=f"{size}M", times=2)
            for writes, where in AFTER_SNAP:
                # Enough passes to measure: so many writes, or a single pass where that is more.
                wanted = 8000 if bench.quick else 200_000
                words = {"leaf_writes": writes, "spread": int("thinly" in where), "passes": max(1, wanted // (writes * leaves))}
                ran = rounds(bench.rounds, {
                    "steady": lambda words=words: engine.tell("touch", snapshot=0, **words),
                    "first": lambda words=words: engine.tell("touch", snapshot=1, **words),
                    "again": lambda words=words: engine.tell("touch", snapshot=0, **words),
                })
                key = f"{device}-{writes}"
                bench.goals.set("after-snap", f"{key}-iops", ratios(ran["first"], ran["steady"]), ratios(ran["again"], ran["steady"]))
                bench.goals.set("after-snap", f"{key}-p99", ratios(ran["first"], ran["steady"], "p99_us"),
                                ratios(ran["again"], ran["steady"], "p99_us"))


def history(bench):
    """The quick form keeps only a few snapshots, for a few seconds; the full one as many as it has time and disk for."""
    ms, keep = (3500, 2) if bench.quick else (30_000, 20)
    volumes = 10
    with Engine(bench, "6G" if bench.quick else "32G", bench.peers.path("engine.pool")) as engine:
        for number in range(volumes):
            engine.fill(name=f"history{number}", size="32M" if bench.quick else "64M")
        engine.grow()
        words = {"volumes": volumes, "depth": 40, "ms": ms, "warm_ms": bench.warm_ms, "keep": keep, "every_ms": 1000}
        ran = rounds(bench.rounds, {
            "none": lambda: engine.tell("history", snapshots=0, **words),
            "snapshots": lambda: engine.tell("history", snapshots=1, **words),
        })
    note = f"the last {keep} kept instead of 600, for {ms / 1000:g} s"
    bench.goals.set("history", "iops", ratios(ran["snapshots"], ran["none"]), note=note)
    bench.goals.set("history", "p99", ratios(ran["snapshots"], ran["none"], "p99_us"), note=note)


def seq_read(bench):
    size, ms = bench.size_mib, _ms(bench)
    with Engine(bench, f"{size * 4}M", bench.peers.path("engine.pool")) as engine:
        engine.fill("random", f"{size}M")
        engine.fill("ordered", f"{size}M", pattern="sequential")
        engine.tell("sync")
        ran = rounds(bench.rounds, {
            "raw": lambda: bench.load.raw("randread"),
            "random": lambda: engine.tell("load", name="random", rw="read", pattern="sequential", **ms),
            "again": lambda: bench.load.raw("randread"),
        })
        bench.goals.set("seq-read", "before", ratios(ran["random"], ran["raw"]), ratios(ran["again"], ran["raw"]))
        engine.tell("tidy", name="random")
        large = {"rw": "read", "pattern": "sequential", "block": "128K", "depth": 8, **ms}
        ran = rounds(bench.rounds, {
            "random": lambda: engine.tell("load", name="random", **large),
            "ordered": lambda: engine.tell("load", name="ordered", **large),
            "again": lambda: engine.tell("load", name="ordered", **large),
        })
        bench.goals.set("seq-read", "after", ratios(ran["random"], ran["ordered"]), ratios(ran["again"], ran["ordered"]),
                        note="tidying: `brindle tidy`")


def aged(bench):
    """A pool nine tenths of which are one volume, written over and over at random."""
    pool = 192 if bench.quick else 2048
    size = pool * 9 // 10
    ms = _ms(bench)
    deadline = time.monotonic() + (20 if bench.quick else 1200)
    with Engine(bench, f"{pool}M", bench.peers.path("engine.pool")) as engine:
        free = engine.tell("status")["free"] >> 20
        size = min(size, free * 9 // 10)
        engine.fill("v", f"{size}M", pattern="sequential")
        fresh = [engine.tell("load", rw="read", pattern="sequential", block="128K", depth=8, **ms) for _ in range(bench.rounds)]
        blocks, written = size * 256, 0
        while written < 10 * blocks and time.monotonic() < deadline:
            engine.tell("load", count=blocks // 4, pattern="random")
            written += blocks // 4
        ran = rounds(bench.rounds, {
            "raw": bench.load.raw,
            "aged": lambda: engine.tell("load", **ms),
            "again": bench.load.raw,
        })
        engine.tell("sync")
        engine.tell("tidy", name="v")
        after = [engine.tell("load", rw="read", pattern="sequential", block="128K", depth=8, **ms) for _ in range(bench.rounds)]
    note = f"overwritten {written / blocks:.1f} times; the volume is {size / pool:.0%} of the pool"
    bench.goals.set("aged", "write", ratios(ran["aged"], ran["raw"]), ratios(ran["again"], ran["raw"]), note)
    bench.goals.set("aged", "read", ratios(after, fresh), note=note)


def _each_byte(before, after, what="written"):
    """How much `what` of the status rose for each byte that the user wrote."""
    return (after[what] - before[what]) / (after["write_bytes"] - before["write_bytes"])


def amp_write(bench):
    """In memory: bytes are counted, not timed. Half of the pool is the volume."""
    pool = 1024 if bench.quick else 8192
    size = pool // 2
    values = {"depth32": [], "fua1": []}
    with Engine(bench, f"{pool}M", memory="256M") as engine:
        before = engine.tell("status")
        engine.fill(size=f"{size}M")
        engine.tell("sync")
        after = engine.tell("status")
        first = _each_byte(before, after)
        filled = after["filled"] - before["filled"]
        engine.fill(times=2 * pool // size)
        reads = []
        for _ in range(bench.rounds):
            for key, words in (("depth32", {"depth": 32}), ("fua1", {"depth": 1, "fua": 1})):
                engine.tell("sync")
                before = engine.tell("status")
                engine.tell("load", count=size * 256 if key == "depth32" else size * 64, **words)
                engine.tell("sync")
                after = engine.tell("status")
                values[key].append(_each_byte(before, after))
                if key == "depth32":
                    reads.append(_each_byte(before, after, "reads") * 4096)
    bench.goals.set("amp-write", "depth32", values["depth32"],
                    note=f"the volume is half of the pool; first fill {first:.3f}, and {filled >> 20} MiB of zeroes; device reads a write {median(reads):.4f}")
    bench.goals.set("amp-write", "fua1", values["fua1"])
    if bench.quick:
        bench.goals.leave("amp-write", "takes some six minutes: only in the full form")
    else:
        _amp_write_large(bench)


def _amp_write_large(bench):
    """A 64th of 1 TiB and of 256 MiB: what a checkpoint writes for each write depends on how many leaves there are to one that memory
    holds. Payload is forgotten (hollow_device.h), and still up to 8 GiB of this machine's memory are taken."""
    size, memory = 16, 4  # GiB, MiB
    pool = 2 * size
    values = []
    with Engine(bench, f"{pool}G", memory=f"{memory}M", hollow=True) as engine:
        engine.fill("large", f"{size}G", pattern="sequential")
        a_quarter = size * (1 << 30) // 4096 // 4
        for _ in range(2 * pool // (size // 4)):
            engine.tell("load", name="large", depth=32, count=a_quarter)
        for _ in range(bench.rounds):
            before = engine.tell("status")
            engine.tell("load", name="large", depth=32, count=a_quarter)
            after = engine.tell("status")
            values.append(_each_byte(before, after))
        parts = {part: _each_byte(before, after, f"{part}_written") for part in ("log", "pages", "tables", "compacted")}
    note = f"{size} GiB in {memory} MiB, half of the pool: " + ", ".join(f"{part} {value:.3f}" for part, value in parts.items())
    bench.goals.set("amp-write", "large", values, note=note)


def amp_space(bench):
    size = _small(bench)
    values = []
    with Engine(bench, f"{size * 3}M") as engine:
        engine.fill(size=f"{size}M", times=2)
        changed = size * 256 // 100
        for number in range(bench.rounds):
            engine.tell("snapshot", names=f"v@space{number}")
            engine.tell("sync")
            before = engine.tell("status")["used"]
            engine.tell("load", count=changed, pattern="dense", depth=32)
            engine.tell("sync")
            values.append((engine.tell("status")["used"] - before) / (changed * 4096))
    bench.goals.set("amp-space", "", values)


def map_memory(bench):
    """The growth of the process while a pool that was just opened reads a block of every leaf: what a cached block costs."""
    size = 1024 if bench.quick else 8192
    path = bench.peers.path("engine.pool")
    for key, pattern in (("random", "dense"), ("sequential", "sequential")):
        with Engine(bench, f"{size * 2}M", path, keep=True) as engine:
            engine.fill(size=f"{size}M", pattern=pattern)
            engine.fill("warm", size="64M", pattern=pattern)
        values, cached = [], []
        for _ in range(1 if bench.quick else 3):
            with Engine(bench, f"{size * 2}M", path, create=False, memory="1G", keep=True) as engine:
                # What a reading process takes at all it has taken by then: frames, buffers, the memory of its allocator.
                engine.tell("load", name="warm", rw="read", count=20_000)
                before = engine.tell("status")
                # Spread over 64 KiB pieces: so every leaf is read, and few blocks.
                engine.tell("load", rw="read", pattern="spread", count=size * 16)
                after = engine.tell("status")
                blocks = size * 256
                values.append((after["resident"] - before["resident"]) / blocks)
                cached.append((after["cache_bytes"] - before["cache_bytes"]) / blocks)
        bench.goals.set("map-memory", key, values, note=f"growth of a process that had read 64 MiB of another volume before; by the engine's own account {median(cached):.2f} B")
        with Engine(bench, f"{size * 2}M", path, create=True):
            pass  # takes the file away


def replay(bench):
    """A process that ends without a word, and another that opens its pool."""
    mib = {"depth1": 1024, "depth32": 1024, "tail": 60}  # the tail ends before the engine's own flush
    path = bench.peers.path("engine.pool")
    values = {"depth1": [], "depth32": [], "tail": []}
    logs = {}
    for _ in range(bench.rounds):
        for key, depth, flushed in (("depth1", 1, True), ("depth32", 32, True), ("tail", 32, False)):
            # So large that no checkpoint comes between.
            with Engine(bench, "16G", path, keep=True) as engine:
                engine.tell("volume", name="v", size="1G")
                engine.tell("sync")
                before = engine.tell("status")["written"]
                # At depth 1 a block of records goes with each block of data.
                blocks = mib[key] * 256
                engine.tell("load", depth=depth, count=blocks // 2 if depth == 1 else blocks)
                if flushed:
                    engine.tell("load", count=1, depth=1, fua=1)
                    # A log that is known to be flushed: the marker that tells of it follows a flush in 20 ms. What comes before it is a tail.
                    time.sleep(0.1)
                log = engine.tell("status")["written"] - before
                engine.tell("drop")
            with Engine(bench, "16G", path, create=False) as engine:
                took = engine.tell("status")
            if took["replayed_batches"] == 0:
                raise ValueError("nothing was replayed")
            logs[key] = log
            values[key].append(took["replay_us"] / 1e3 * (1 if key == "tail" else (1 << 30) / log))
    for key, measured in values.items():
        bench.goals.set("replay", key, measured, note=f"of {logs[key] >> 20} MiB")


def cores(bench):
    """The load of the second volume runs on the second core, through an outpost of the engine."""
    size = _small(bench)
    with Engine(bench, f"{size * 4}M", second=True) as engine:
        for name in ("a", "b"):
            engine.fill(name, f"{size}M")
        words = {"depth": 16, **_ms(bench)}
        ran = rounds(bench.rounds, {
            "one": lambda: engine.tell("cores", cores=1, **words),
            "two": lambda: engine.tell("cores", cores=2, **words),
            "again": lambda: engine.tell("cores", cores=1, **words),
        })
    bench.goals.set("cores", "", ratios(ran["two"], ran["one"]), ratios(ran["again"], ran["one"]),
                    note="of writes: home keeps every map, decision 5")
