"""machine.py: what the report says of the machine and of the programs that ran on it."""

import os
import platform
import re
import subprocess


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "not there"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "?"


def describe(root, work, programs):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = re.search(r"MemTotal:\s*(\d+)", file.read())
    where = subprocess.run(["findmnt", "-no", "FSTYPE,OPTIONS", "-T", work], capture_output=True, text=True, check=False)
    dirty = first_line(["git", "-C", root, "status", "--porcelain"])
    commit = first_line(["git", "-C", root, "rev-parse", "--short=12", "HEAD"])
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory.group(1)) / 2**20, 1) if memory else None,
        "kernel": platform.release(),
        "pool_on": where.stdout.strip() or "?",
        "load_average_at_start": os.getloadavg(),
        "versions": {
            "brindle": first_line([programs["brindled"], "--version"]) + f" ({commit}{'' if dirty == '?' else ', changed'})",
            "fio": first_line(["fio", "--version"]),
            "nbdkit": first_line(["nbdkit", "--version"]),
            "qemu-storage-daemon": first_line(["qemu-storage-daemon", "--version"]),
            "mkfs.btrfs": first_line(["mkfs.btrfs", "--version"]),
            "mkfs.xfs": first_line(["mkfs.xfs", "-V"]),
        },
    }
