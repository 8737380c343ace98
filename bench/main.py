#!/usr/bin/env python3
"""bench: measures Brindle against its peers and against its goals, and writes a report. `./dev bench` builds it first.

bench [--quick] [--only ID[,ID...]] [--list] [--programs DIR] [--out DIR]

--quick: three short runs of each, in five minutes at most; what there was no time for has no value. --only: these questions
alone (the others stay in the report, without a value). Writes DIR/report.json, report.md and a plot for each question."""

import argparse
import os
import shutil
import signal
import sys
import time
import traceback

import machine
import micro
import plot
import questions
import report
from children import Failed
from goals import Goals
from load import Load
from peers import Peers

# Of the quick form: all of it, less what the report takes; and of one question, so that one that hangs leaves time for the others.
QUICK_SECONDS, QUESTION_SECONDS = 285, 45


class Bench:
    """What every question needs: the peers, the loads, how many rounds, and where results go."""

    def __init__(self, options, programs, work):
        self.quick = options.quick
        self.rounds = 3 if options.quick else 5
        self.ms = 500 if options.quick else 2000
        self.warm_ms = 200 if options.quick else 300
        self.size_mib = 256 if options.quick else 1024
        self.programs, self.work = programs, work
        self.goals = Goals()
        self.runs, self.commands, self.tables = [], {}, {}
        self.peers = Peers(programs, work, self.size_mib)
        self.began = time.monotonic()
        self.question_begins()
        self.load = Load(self)

    def record(self, what, command, result):
        self.runs.append({"what": what, "at_s": round(time.monotonic() - self.began, 2), **result})
        if command:
            self.commands.setdefault(what, " ".join(command))

    def record_command(self, command):
        self.commands.setdefault(command.split(" --")[0] + f" ({len(self.commands)})", command)

    def seconds_left(self):
        return QUICK_SECONDS - (time.monotonic() - self.began) if self.quick else 24 * 3600

    def out_of_time(self):
        return self.seconds_left() <= 0

    def question_begins(self):
        self.question_until = time.monotonic() + (min(QUESTION_SECONDS, self.seconds_left()) if self.quick else 24 * 3600)

    def patience_s(self, most_s):
        """How long something may take that may take `most_s` at most."""
        return max(1, min(most_s, self.question_until - time.monotonic()))

    def disk_brindle(self, name="brindle-disk"):
        """The daemon on disk, its pool written more than once, so that neither zero-filling nor a fresh file is measured."""
        if not self.peers.has(name):
            self.load.fill(name, once=4)

    def filled(self, name):
        """A server whose whole volume was written before."""
        if not self.peers.has(name):
            self.load.fill(name)

    def durability(self):
        return dict(self.peers.durability)


def find_programs(folder):
    places = {"brindled": "brindled", "brindle": "brindle"}
    for name in ("lean_client", "empty_server", "memory_server", "engine_bench", "micro"):
        places[name] = f"bench/{name}"
    programs = {name: os.path.join(folder, place) for name, place in places.items()}
    missing = [name for name, path in programs.items() if name != "micro" and not os.path.exists(path)]
    if missing:
        sys.exit(f"bench: not built: {', '.join(missing)}; run ./dev bench")
    for name in ("fio", "nbdkit", "qemu-storage-daemon", "qemu-img", "taskset"):
        if not shutil.which(name):
            sys.exit(f"bench: {name} is not installed; run ./dev bench")
    return programs


def ask(bench, wanted):
    for question in questions.ALL:
        ids = [id_ for id_ in question.ids if id_ in wanted]
        if not ids:
            continue
        if bench.out_of_time():
            for id_ in ids:
                bench.goals.leave(id_, "no time was left for it in the quick form")
            continue
        began = time.monotonic()
        bench.question_begins()
        print(f"{', '.join(question.ids)} ...", end="", flush=True)
        try:
            question.ask(bench)
            print(f" {time.monotonic() - began:.0f} s", flush=True)
        except Exception as error:  # one question that fails does not take the others with it
            print(f" failed: {error}", flush=True)
            if not isinstance(error, Failed):
                traceback.print_exc()
            for id_ in ids:
                bench.goals.leave(id_, f"failed: {error}")


def tell(bench, about, out):
    """Writes the report, as far as it goes."""
    about["load_average_at_end"] = os.getloadavg()
    about["seconds"] = round(time.monotonic() - bench.began)
    report.write(bench, about, plot.write(bench, out), out, sys.argv)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="three short runs of each, in five minutes at most")
    parser.add_argument("--only", metavar="ID[,ID]", default="", help="these questions alone")
    parser.add_argument("--list", action="store_true", help="the questions and their goals")
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    parser.add_argument("--programs", metavar="DIR", default=os.path.join(root, "build"), help="where they are built (build/)")
    parser.add_argument("--out", metavar="DIR", default=os.path.join(root, "build", "bench"), help="where the report goes (build/bench/)")
    options = parser.parse_args()
    goals = Goals()
    if options.list:
        for row in goals.rows:
            print(f"{row.id:14} {'at most ' if row.most else 'at least'} {row.goal:<8g} {row.question}")
        return 0
    wanted = [id_ for id_ in options.only.split(",") if id_] or goals.ids()
    unknown = [id_ for id_ in wanted if id_ not in goals.ids() + ["tables", "micro"]]
    if unknown:
        parser.error(f"no such question: {', '.join(unknown)} (--list tells which there are)")

    # An end by a signal is an end in order too: the servers go, and their files.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("\nbench: ended by a signal; what was measured since the report was last written is lost"))
    programs = find_programs(options.programs)
    work = os.path.join(options.out, "work")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    bench = Bench(options, programs, work)
    about = machine.describe(root, work, programs)
    try:
        ask(bench, wanted)
        for id_ in goals.ids():
            if id_ not in wanted:
                bench.goals.leave(id_, "not asked for")
        tell(bench, about, options.out)  # the tables take longer than all the questions, and what is known by now is not to depend on them
        bench.question_begins()
        if (not options.only and not options.quick) or "tables" in wanted:
            questions.tables(bench)
        if (not options.only and not options.quick) or "micro" in wanted:
            bench.tables["micro"] = micro.run(programs, bench)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # tidying is not cut short
        bench.peers.kill_all()
        shutil.rmtree(work, ignore_errors=True)
    tell(bench, about, options.out)
    rows = bench.goals.rows
    print(f"\n{bench.goals.met()} of {len(rows)} goals met, {sum(row.value is None for row in rows)} not measured: {options.out}/report.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
