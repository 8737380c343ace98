"""Each class of error has its exit code, its code, and one line that says what to do."""

import os
import subprocess

from cli import BRINDLE, Brindle, Client, Daemon, check, equal, folder, running

with running() as brindle:
    brindle.text("volume", "create", "db", "--size", "64M")
    brindle.text("snapshot", "create", "db@mon")

    # names
    for name in ("", "-a", ".a", "a b", "a/b", "ä", "x" * 129, "a@b"):
        brindle.refused("volume", "create", "--size", "4096", "--", name)
    for name in ("@", "a@", "@b", "a@b@c", "a@-b", "db"):
        brindle.refused("snapshot", "create", name)
    brindle.refused("delete", "[db]")
    brindle.refused("volume", "create", "db", "--size", "4096", code="exists", says="db")
    brindle.refused("snapshot", "create", "db@mon", code="exists", says="db@mon")
    brindle.refused("clone", "db@mon", "db", code="exists")
    brindle.refused("clone", "db@mon", "new", "new", code="exists", says="twice")
    for arguments in (("volume", "show", "x"), ("volume", "resize", "x", "4096"), ("volume", "rename", "x", "y"), ("volume", "delete", "x"),
                      ("volume", "label", "x", "a=b"), ("snapshot", "create", "x@y"), ("snapshot", "show", "db@x"),
                      ("snapshot", "protect", "db@x"), ("snapshot", "rename", "db@x", "y"), ("clone", "x", "y"), ("rollback", "db@x"),
                      ("delete", "db@mon", "x"), ("diff", "db", "x"), ("space", "x")):
        brindle.refused(*arguments, code="not_found", says="x")
    equal([s["name"] for s in brindle.json("snapshot", "list")], ["db@mon"], "a refused deletion of a set deleted nothing")

    # sizes, never rounded
    for size in ("0", "0K", "1", "4097", "1K", "1.5G", "4096B", "4k", "K", " 4096", "1025T", "99999999999999999999T", "0x1000"):
        brindle.refused("volume", "create", "v", f"--size={size}")
        brindle.refused("volume", "resize", "db", size)
    brindle.refused("volume", "resize", "db", "32M", says="--force")
    brindle.text("volume", "resize", "db", "32M", "--force")
    brindle.refused("pool", "grow", "4096")

    # labels
    brindle.refused("volume", "create", "v", "--size", "4096", "--label", "novalue")
    brindle.refused("volume", "label", "db", "=x")
    brindle.refused("volume", "list", "--label", "novalue")

    # what is in use or protected
    client = Client(os.path.join(brindle.state, "nbd.sock"), "db")
    brindle.refused("volume", "delete", "db", code="busy", says="--force")
    brindle.refused("rollback", "db@mon", code="busy", says="--force")
    equal(brindle.json("volume", "show", "db")["clients"], 1, "clients")
    brindle.text("rollback", "db@mon", "--force")
    client.close()
    brindle.text("snapshot", "protect", "db@mon")
    brindle.refused("snapshot", "delete", "db@mon", code="protected", says="unprotect")
    brindle.refused("volume", "delete", "db", "--with-snapshots", code="protected")
    brindle.text("snapshot", "unprotect", "db@mon")
    brindle.refused("diff", "db", brindle.json("volume", "create", "stranger", "--size", "4096")["name"])

    # wrong usage
    for arguments in ((), ("volume",), ("volum",), ("volume", "crate", "x"), ("volume", "create", "x"), ("volume", "create", "--size", "4096"),
                      ("volume", "list", "--sort", "colour"), ("volume", "list", "--limit", "-1"), ("status", "extra"), ("tree", "--no-such"),
                      ("clone", "db"), ("volume", "delete"), ("completion", "tcsh")):
        brindle.refused(*arguments, exit=2, code="usage", says="`brindle")

    # --json is understood wherever it stands
    equal(brindle.run("volume", "show", "x", "--json")[2], brindle.run("--json", "volume", "show", "x")[2], "--json behind the verb")

    # a full disk behind standard output is not a success
    with open("/dev/full", "w") as full:
        done = subprocess.run([BRINDLE, "--state", brindle.state, "volume", "list"], stdout=full, stderr=subprocess.PIPE)
        equal(done.returncode, 1, "exit code with a full disk")
        check(done.stderr.startswith(b"brindle: standard output: "), done.stderr)

with folder() as state:
    # no daemon, a dead daemon's socket, a path that no socket can have
    brindle = Brindle(state)
    message = brindle.refused("status", exit=3, code="no_daemon", says="brindled --state " + state)
    check("./dev up" in message, message)
    with Daemon(state, "--pool-size", "256M") as daemon:
        daemon.kill()
    brindle.refused("volume", "list", exit=3, code="no_daemon", says="nobody listens")
    got, out, err = brindle.run("__complete", "any", "")
    equal((got, out, err), (0, "", ""), "completion without a daemon")
    Brindle(os.path.join(state, "x" * 110)).refused("status", says="too long for a socket")
    brindle.refused("check", "--offline", os.path.join(state, "nothing"), code="io")
