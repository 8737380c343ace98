"""questions.py: all questions, in the order in which they are asked: what matters most first, since the quick form may run out of
time; and the tables of the full form."""

import dataclasses
import typing

import questions_engine as engine
import questions_nbd as nbd
import tables as all_tables


@dataclasses.dataclass
class Question:
    ids: tuple
    ask: typing.Callable


ALL = [
    Question(("ceiling-write",), nbd.ceiling_write),
    Question(("ceiling-read",), nbd.ceiling_read),
    Question(("depth1",), nbd.depth1),
    Question(("memory-write",), nbd.memory_write),
    Question(("disk-write",), nbd.disk_write),
    Question(("qcow2",), nbd.qcow2),
    Question(("qcow2-snap",), nbd.qcow2_snap),
    Question(("raw-write",), nbd.raw_write),
    Question(("fua",), nbd.fua),
    Question(("disk-read",), nbd.disk_read),
    Question(("snap",), engine.snap),
    Question(("clones", "delete"), engine.clones_and_delete),
    Question(("deep",), engine.deep),
    Question(("after-snap",), engine.after_snap),
    Question(("amp-space",), engine.amp_space),
    Question(("amp-write",), engine.amp_write),
    Question(("replay",), engine.replay),
    Question(("map-memory",), engine.map_memory),
    Question(("cores",), engine.cores),
    Question(("idle",), nbd.idle),
    Question(("seq-read",), engine.seq_read),
    Question(("history",), engine.history),
    Question(("aged",), engine.aged),
]

tables = all_tables.ask
