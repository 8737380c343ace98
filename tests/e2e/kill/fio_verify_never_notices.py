"""fio writes and verifies an attached volume while the daemon is killed in a loop: every request waits and goes on, and nothing that
was written reads back as anything else, also once more at the end, from the pool and not from any cache."""

import os
import shutil
import subprocess
import time

from kill import check, equal, output, say, story
from host import host


def job(it, device, name, *options):
    """fio's own verification: each block carries a checksum and where it belongs."""
    return ["fio", f"--name={name}", f"--filename={device}", "--ioengine=libaio", "--direct=1", "--bs=4k", "--size=48M",
            "--verify=crc32c", "--verify_fatal=1", "--allow_mounted_write=1", f"--randseed={it.seed}",
            f"--aux-path={os.path.dirname(name) or '/tmp'}", *options]


with story() as it:
    if not shutil.which("fio"):
        print("skipped: no fio")
        raise SystemExit(77)
    with host() as machine:
        os.chdir(machine.top)  # fio leaves its verify state here
        machine.brindle("volume", "create", "db", "--size", "64M")
        device = machine.brindle("attach", "db").strip()
        it.begin()
        while it.goes_on():
            it.seed += 1
            load = subprocess.Popen(job(it, device, "load", "--rw=randrw", "--rwmixread=30", "--iodepth=16", "--verify_backlog=256",
                                        "--fsync=64", "--time_based", f"--runtime={min(20, max(4, int(it.seconds / 2)))}",
                                        "--output=load.log"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                while load.poll() is None:
                    time.sleep(it.rng.uniform(0.2, 0.8))
                    machine.daemon.kill()
                    it.kills += 1
                    time.sleep(it.rng.choice([0, 0, 0.05, 0.3]))
                    machine.daemon.start()
            finally:
                if load.poll() is None:
                    load.kill()
                load.wait()
            text = open("load.log").read()
            equal(load.returncode, 0, f"fio's exit code: {text} {load.stdout.read().decode()}")
            check("err= 0" in text, f"fio says: {text}")
            it.operations += sum(int(line.split("total=")[1].split(",")[0]) + int(line.split("total=")[1].split(",")[1])
                                 for line in text.splitlines() if "issued rwts: total=" in line)
        # A last pass that writes every block, a kill, and a reading of all of it through a new attachment.
        it.seed += 1
        output(*job(it, device, "last", "--rw=randwrite", "--iodepth=16", "--do_verify=0"), timeout=300)
        machine.daemon.kill()
        it.kills += 1
        machine.daemon.start()
        machine.brindle("detach", "db")
        device = machine.brindle("attach", "db").strip()
        output(*job(it, device, "last", "--rw=randwrite", "--iodepth=16", "--verify_only=1"), timeout=300)
        it.operations += 2 * 48 * 256
        machine.brindle("detach", "db")
        machine.brindle("check")
        os.chdir("/")
        say(f"seed {it.seed}")
