"""report.py: report.json, for programs, and report.md, for people: the same figures."""

import json
import os


def number(value):
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def verdict(row):
    if row.value is None:
        return "not measured"
    return "met" if row.met else "short"


def control(row):
    if not row.control:
        return ""
    return f"{number(min(row.control))}–{number(max(row.control))}"


def wide(row):
    """Is the control further from 1 than the value is from its goal?"""
    if not row.control or row.value is None:
        return False
    return max(abs(1 - value) for value in row.control) > abs(row.value - row.goal)


def goals_table(rows):
    yield "| id | question | goal | median | low–high | A/A control | |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        sign = "≤" if row.most else "≥"
        spread = f"{number(min(row.values))}–{number(max(row.values))}" if row.values else "–"
        remark = row.note + (" (the control is wider than the margin)" if wide(row) else "")
        unit = f" {row.unit}" if row.unit else ""
        yield (f"| {row.id} | {row.question} | {sign} {row.goal:g}{unit} | {number(row.value)} | {spread} | {control(row)} | "
               f"{verdict(row)}{': ' + remark.strip() if remark else ''} |")


def table(title, header, lines):
    yield f"### {title}"
    yield ""
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for line in lines:
        yield "| " + " | ".join(number(cell) if isinstance(cell, (int, float)) else str(cell) for cell in line) + " |"
    yield ""


def runs_table(runs):
    """Of each command that gave requests a second: the median and its spread."""
    by_name = {}
    for run in runs:
        if "iops" in run:
            by_name.setdefault(run["what"].split(" seed=")[0], []).append(run)
    lines = []
    for name, group in by_name.items():
        def middle(key, runs_of=group):
            values = sorted(run[key] for run in runs_of if run.get(key) is not None)
            return values[len(values) // 2] if values else None
        iops = [run["iops"] for run in group]
        lines.append([name, len(group), middle("iops"), f"{number(min(iops))}–{number(max(iops))}", middle("p50_us"), middle("p99_us"),
                      middle("p999_us"), middle("cpu_us"),
                      middle("resident_kib") / 1024 if middle("resident_kib") else None])
    header = ["what", "runs", "requests/s", "low–high", "p50 µs", "p99 µs", "p99.9 µs", "server CPU µs a request", "resident MiB"]
    return table("Every load, as it ran", header, [[cell if cell is not None else "" for cell in line] for line in lines])


def markdown(bench, about, plots, arguments):
    rows = bench.goals.rows
    yield "# What was measured"
    yield ""
    yield (f"`{' '.join(['./dev', 'bench'] + arguments[1:])}`: {bench.goals.met()} of {len(rows)} goals met, "
           f"{sum(row.value is None for row in rows)} not measured. {about['seconds']} s.")
    yield ""
    yield (f"Medians of {bench.rounds} rounds of {bench.ms} ms, each after {bench.warm_ms} ms of the same load that are not counted. Within a round "
           "everything that is compared runs in turn, every other round in the opposite order; a ratio is formed within each round. The "
           "control is the base of a ratio against itself, run twice in the same rounds. Servers and raw fio run on core 0, clients on core 1; "
           "while one server is measured the others are stopped. Pools in memory were written through once before.")
    yield ""
    yield "## Goals"
    yield ""
    yield from goals_table(rows)
    yield ""
    for id_, name in plots.items():
        yield f"![{id_}]({name})"
    yield ""
    yield "## Machine"
    yield ""
    for key, value in about.items():
        if key != "versions":
            yield f"* {key.replace('_', ' ')}: {value}"
    for key, value in about["versions"].items():
        yield f"* {key}: {value}"
    yield ""
    yield "## When a write is acknowledged"
    yield ""
    yield "* raw file: O_DIRECT by io_uring, acknowledged when the device has it; with `fdatasync=1` after each write's fdatasync"
    for name, durability in bench.durability().items():
        yield f"* {name}: {durability}"
    yield "* engine on disk: as brindle-disk, without a protocol in front; engine in memory: nothing is durable"
    yield ""
    yield "## Tables"
    yield ""
    for title, (header, lines) in bench.tables.items():
        yield from table(title, header, lines)
    yield from runs_table(bench.runs)
    yield "## Commands"
    yield ""
    yield "```"
    home = os.path.dirname(bench.work) + "/"
    for command in dict.fromkeys(bench.commands.values()):
        yield command.replace(home, "").replace(os.path.dirname(os.path.dirname(bench.work)) + "/", "build/")
    yield "```"
    yield ""
    yield "The raw figures of every run are in report.json."


def write(bench, about, plots, out, arguments):
    document = {
        "quick": bench.quick,
        "met": bench.goals.met(),
        "goals": [row.json() for row in bench.goals.rows],
        "machine": about,
        "rounds": bench.rounds,
        "ms": bench.ms,
        "durability": bench.durability(),
        "commands": bench.commands,
        "tables": bench.tables,
        "runs": bench.runs,
    }
    with open(os.path.join(out, "report.json"), "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    with open(os.path.join(out, "report.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(markdown(bench, about, plots, arguments)) + "\n")
