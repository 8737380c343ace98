"""Somebody who is not root is told what is missing, and changes nothing; the list is for everybody."""

import os

from host import BRINDLE, equal, folder, host, run
import shutil

with host() as it, folder() as programs:
    it.brindle("volume", "create", "db", "--size", "64M")
    it.brindle("attach", "db")
    # Where the programs were built, another user may have no access.
    program = shutil.copy(BRINDLE, os.path.join(programs, "brindle"))
    words = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all", program, "--state", it.state]
    for verb in (["attach", "db"], ["detach", "db"], ["detach", "--all"]):
        text = run(*words, *verb, code=1)
        equal(text, f"brindle: {verb[0]}: it needs CAP_SYS_ADMIN, for block devices and mounting: run it as root\n", "the refusal")
    os.chmod(it.state, 0o755)
    os.chmod(os.path.join(it.state, "attach"), 0o755)
    text = run(*words, "attach")
    equal(text.splitlines()[1].split()[0], "db", "the list for somebody else")
    it.brindle("detach", "db")
