"""kill -9 of the daemon in a loop under NBD clients that keep a journal: every answer that they ever got still holds, flushed or
not; what was not answered happened wholly or not at all, block by block; snapshots taken meanwhile never change. Writes are answered when
the device has them or from staging memory, as each start draws it."""

import os

from kill import BLOCK, Client, Daemon, Writer, check, equal, folder, say, story, verify

with story() as it, folder() as state:
    daemon = Daemon(state, "--pool-size", "1G")
    writers = [Writer(it, os.path.join(state, "nbd.sock"), name, 3000, it.rng.randrange(1 << 32)) for name in ("db", "log", "dev")]
    images = {}  # snapshot: the blocks that it holds
    with daemon:
        for writer in writers:
            daemon.post("/v1/volumes", name=writer.export, size=3000 * BLOCK)
    it.begin()
    while it.goes_on():
        daemon.options = ("--pool-size", "1G", "--ack", it.rng.choice(["device", "staged"]))
        with daemon:
            for writer in writers:
                writer.connect()
                writer.check_all()
            for _ in range(it.rng.randrange(1, 4)):
                for writer in writers:
                    check(writer.work(it.rng.uniform(0.02, 0.1)), "the daemon went away by itself")
                writer = it.rng.choice(writers)
                writer.settle()
                name = f"{writer.export}@s{it.kills}-{len(images)}"
                daemon.post("/v1/snapshots", names=[name])
                images[name] = dict(writer.known)
            if len(images) > 6:
                gone = it.rng.choice(sorted(images))
                # Taken from the list only when the daemon has said that it is gone.
                daemon.post("/v1/delete", names=[gone])
                del images[gone]
            for writer in writers:  # so that all of them have requests under way
                while len(writer.under_way) < writer.DEPTH:
                    writer.ask()
            it.rng.choice(writers).work(it.rng.uniform(0, 0.02))
            daemon.kill()
            it.kills += 1
            for writer in writers:
                writer.lost()
        if it.kills % 4 == 0 or not it.goes_on():
            with daemon:
                for name, image in images.items():
                    client = Client(daemon.nbd(), name)
                    for block in it.rng.sample(sorted(image), min(300, len(image))):
                        there = client.read(block * BLOCK, BLOCK)
                        check(there == writers[0].content(block, image[block]), f"{name}, block {block}: not what it was")
                        it.operations += 1
                    client.close()
                verify(daemon)
                daemon.kill()
                it.kills += 1
    with daemon:
        for writer in writers:
            writer.connect()
            writer.check_all()
            writer.client.close()
        snapshots = sorted(entry["name"] for entry in daemon.get("/v1/snapshots"))
        equal(snapshots, sorted(images), "the snapshots that were acknowledged")
        verify(daemon)
        daemon.stop()
    say(f"seed {it.seed}: {sum(len(writer.known) for writer in writers)} blocks in 3 volumes, {len(images)} snapshots at the end")
