"""bash, as a terminal runs it, completes verbs and the names of what there is."""

import os
import pty
import select
import shutil
import subprocess
import time

from cli import BRINDLE, check, equal, running, skip

BASH = shutil.which("bash")
if not BASH:
    skip("there is no bash")


class Terminal:
    """A bash on a terminal, into which one types."""

    def __init__(self, state):
        self.master, slave = pty.openpty()
        environment = {"PATH": os.path.dirname(os.path.abspath(BRINDLE)) + ":" + os.environ["PATH"], "HOME": "/nonexistent",
                       "TERM": "dumb", "BRINDLE_STATE": state, "INPUTRC": "/dev/null"}
        self.process = subprocess.Popen([BASH, "--norc", "--noprofile", "-i"], stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, start_new_session=True)
        os.close(slave)
        self.type("PS1='> '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; source <(brindle completion bash); echo load''ed\n")
        self.until("loaded")

    def type(self, text):
        os.write(self.master, text.encode())

    def until(self, wanted, seconds=10):
        seen = ""
        deadline = time.monotonic() + seconds
        while wanted not in seen:
            check(time.monotonic() < deadline, f"no {wanted!r} in {seen!r}")
            if select.select([self.master], [], [], 0.1)[0]:
                seen += os.read(self.master, 4096).decode(errors="replace")
        return seen

    def completed(self, typed, wanted):
        """Typing this and Tab must complete it so; the line is then an echo's, so that nothing is done."""
        self.type(f"{typed}\t")
        self.until(wanted)
        self.type("\x15")  # away with the line

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


with running() as brindle:
    for name in ("db", "web"):
        brindle.text("volume", "create", name, "--size", "16M")
    brindle.text("snapshot", "create", "db@monday", "web@tuesday")
    terminal = Terminal(brindle.state)
    try:
        terminal.completed("brindle sna", "brindle snapshot ")
        terminal.completed("brindle volume show w", "volume show web")
        terminal.completed("brindle snapshot show web@", "snapshot show web@tuesday")
        terminal.completed("brindle rollback db@mo", "rollback db@monday")
        terminal.completed("brindle snapshot create d", "snapshot create db@")
        terminal.completed("brindle volume list --sort=cr", "--sort=created")
        terminal.completed("brindle clone web@t", "clone web@tuesday")
    finally:
        terminal.close()

    for shell in ("bash", "zsh", "fish"):
        script = brindle.text("completion", shell)
        check("snapshot" in script and "__complete" in script, f"the script for {shell}")
        equal(brindle.json("completion", shell), {"shell": shell, "script": script}, shell)
    if shutil.which("fish"):
        ask = "brindle completion fish | source; complete -C 'brindle rollback db@mo'; complete -C 'brindle volume sh'; complete -C 'brindle diff db w'"
        out = subprocess.run(["fish", "-c", ask], capture_output=True, text=True, env={
            "PATH": os.path.dirname(os.path.abspath(BRINDLE)) + ":" + os.environ["PATH"], "HOME": "/nonexistent", "BRINDLE_STATE": brindle.state}).stdout
        check("db@monday" in out and "show" in out and "web" in out, f"fish: {out!r}")
