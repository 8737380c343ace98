"""Who uses an attached volume is named, and loses nothing; --force takes it away."""

import os
import subprocess
import sys

from host import check, equal, host, read, run, write


def holder(code, *arguments):
    process = subprocess.Popen([sys.executable, "-c", code + "\nprint('ready', flush=True)\nimport time\ntime.sleep(600)", *arguments],
                               stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def end(process):
    process.kill()
    process.wait()


with host() as it:
    it.brindle("volume", "create", "db", "--size", "64M")
    where = it.path("mnt")
    device = it.brindle("attach", "db", "--mkfs", "ext4", "--mount", where).strip()
    write(f"{where}/file", b"kept")

    for code in ("import os, sys\nos.chdir(sys.argv[1])", "import sys\nfile = open(sys.argv[1] + '/file')"):
        user = holder(code, where)
        it.refused("detach", "db", says=f"pid {user.pid} (python3")
        equal((read(f"{where}/file"), os.path.ismount(where)), (b"kept", True), "after a refusal")
        end(user)

    it.refused("volume", "delete", "db", says="db")
    it.brindle("detach", "db")
    device = it.brindle("attach", "db").strip()
    user = holder("import sys\nfile = open(sys.argv[1], 'rb')", device)
    it.refused("detach", "db", says=f"pid {user.pid} (python3")
    equal(it.attachments()["db"]["device"], device, "after a refusal")
    end(user)

    run("mount", device, where)
    user = holder("import os, sys\nos.chdir(sys.argv[1])", where)
    write(f"{where}/late", b"flushed by force too")
    it.brindle("detach", "db", "--force")
    equal((it.attachments(), os.path.ismount(where)), ({}, False), "after a detach by force")
    end(user)
    it.fsck("db", "ext4")
    it.brindle("attach", "db", "--mount", where)
    equal(read(f"{where}/late"), b"flushed by force too", "what was written before")
    it.brindle("detach", where)
    check("not attached" in it.refused("detach", "db", says="not attached"), "twice")
