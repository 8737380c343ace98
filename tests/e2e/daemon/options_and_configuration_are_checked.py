"""Wrong usage exits with 2 and one line; the command line beats the file, and that the environment."""

import os

from daemon import Daemon, check, equal, fails, folder, run

with folder() as top:
    state = os.path.join(top, "state")
    config = os.path.join(top, "brindled.toml")

    def configured(text, says):
        with open(config, "w") as file:
            file.write(text)
        return fails("--state", state, "--config", config, code=2, says=says)

    for options, says in [
        (["--nonsense"], "--nonsense"),
        (["extra"], "extra"),
        (["--memory", "12Q"], "--memory"),
        (["--memory", "1M"], "32M"),
        (["--pool-size", "0"], "--pool-size"),
        (["--pool-size", "4097"], "4096"),
        (["--pool-size"], "--pool-size"),
        (["--ack", "soon"], "--ack"),
        (["--staging", ""], "--staging"),
        (["--cores", "0-"], "--cores"),
        (["--cores", "1,1"], "twice"),
        (["--cores", "900"], "there is no core"),
        (["--nbd", "10809"], "--nbd"),
        (["--http", "127.0.0.1:99999"], "--http"),
        (["--log-level", "loud"], "--log-level"),
        (["--force"], "--create"),
        (["--state", ""], "--state"),
        (["--config", os.path.join(top, "missing")], "--config"),
        (["--memory", "64M", "--memory", "65M"], "--memory"),
    ]:
        fails("--state", state, *options, code=2, says=says) if "--state" not in options else fails(*options, code=2, says=says)
    configured("memroy = '64M'\n", "memroy is not known")
    configured("memory = true\n", "memory must be")
    configured("memory = '64M'\nmemory = '65M'\n", ":2")
    configured("pool = [1]\n", "pool must be")
    configured("ack = 'soon'\n", "--ack")
    configured("create = 'yes'\n", "create must be")
    configured("[memory]\n", "memory must be")
    configured("config = 'x'\n", "config is not known")
    configured("this is no TOML\n", "--config")
    configured("memory = '1M'\n", "32M")
    check(not os.path.exists(state), "a refused daemon made its folder")

    code, out, err, _ = run("--version")
    equal((code, err), (0, ""), "--version")
    check(out.startswith("brindled "), f"--version: {out!r}")
    code, out, _, _ = run("--help")
    check(code == 0 and "--pool-size" in out, "--help")

    def memory_of(daemon):
        return daemon.get("/v1/status")["cache"]["memory_max"] >> 20

    with open(config, "w") as file:
        file.write(f"pool = '{top}/elsewhere'\ncreate = true\npool-size = '300M'\nmemory = '64M'\nlog-level = 'warn'\n")
    with Daemon(state, "--config", config) as daemon:
        equal(memory_of(daemon), 64, "memory from the file")
        equal(daemon.get("/v1/pool")["path"], f"{top}/elsewhere", "pool from the file")
        daemon.stop()
        equal(daemon.text(), "", "the log at level warn")
    with Daemon(state, "--config", config, "--memory", "48M", "--log-level", "info") as daemon:
        equal(memory_of(daemon), 48, "the command line beats the file")
        daemon.stop()

    # A list of paths is one pool on several devices.
    with open(config, "w") as file:
        file.write(f"pool = ['{top}/one', '{top}/two']\ncreate = true\npool-size = '300M'\nlog-level = 'warn'\n")
    for _ in range(2):
        with Daemon(state, "--config", config) as daemon:
            equal([member["path"] for member in daemon.get("/v1/pool")["members"]], [f"{top}/one", f"{top}/two"], "members")
            daemon.stop()

    # The state folder: --state beats BRINDLE_STATE, which beats the default.
    for options, environment, expected in [
        ([], {}, os.path.join(top, ".brindle")),
        ([], {"BRINDLE_STATE": os.path.join(top, "env")}, os.path.join(top, "env")),
        (["--state", os.path.join(top, "given")], {"BRINDLE_STATE": os.path.join(top, "env")}, os.path.join(top, "given")),
    ]:
        os.makedirs(expected, exist_ok=True)
        pool = os.path.join(expected, "pool")
        open(pool, "w").close()  # refused, with its path in the error
        code, _, err, _ = run(*options, environment=environment, cwd=top)
        check(code == 1 and f"pool {pool}: the file is empty" in err, err)
