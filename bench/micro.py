"""micro.py: the microbenchmarks (Google Benchmark), as a table."""

import json
import os

import children
from children import Failed
from peers import SERVER_CORE


def run(programs, bench):
    """Header and lines."""
    header = ["part", "ns of CPU or time", "per item, ns"]
    if not os.path.exists(programs["micro"]):
        return header, [["not built: libbenchmark-dev is missing", "", ""]]
    bench.peers.pause_all()
    command = ["taskset", "-c", SERVER_CORE, programs["micro"], "--benchmark_format=json", "--benchmark_min_time=0.2"]
    try:
        out = children.run(command, "micro", 600)
    except Failed as error:
        return header, [[str(error), "", ""]]
    scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    lines = []
    for one in json.loads(out)["benchmarks"]:
        items = one.get("items_per_second")
        lines.append([one["name"], one["real_time"] * scale[one["time_unit"]], 1e9 / items if items else ""])
    return header, lines
