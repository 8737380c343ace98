"""children.py: every process that the bench starts: waited for as long as is told and no longer, and ended with all that it started.

Holds: 1. A child leads a process group of its own: Ctrl-C reaches the bench alone, and what a child forked ends with it.
       2. A child ends when the bench ends, even by SIGKILL: the kernel sees to it."""

import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """A peer or a load did not do what it was asked; the message says which and why."""


def _die_with_the_bench():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command, start_new_session=True, preexec_fn=_die_with_the_bench, **more)


def kill(process):
    """Ends it and its group at once, whether it is stopped or not."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def end(process, patience_s):
    """Asks it to end; ends it where that takes too long. False: it had to be killed."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience_s)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        kill(process)


def run(command, who, timeout_s):
    """Its standard output. A program that fails, or that does not end in time, is `Failed`."""
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise Failed(f"{who}: cut, it had not ended after {timeout_s:.0f} s") from None
    finally:
        kill(process)
    if process.returncode != 0:
        said = (err.strip() or out.strip() or f"status {process.returncode}").splitlines()
        raise Failed(f"{who}: {' / '.join(said[:3])[:300]}")
    return out
