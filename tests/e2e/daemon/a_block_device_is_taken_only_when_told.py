"""A device becomes a pool with --create, and with --force where it carries something; in use, or already a pool, never."""

import hashlib
import os
import subprocess

from daemon import Daemon, check, equal, fails, folder, skip

if os.getuid() != 0:
    skip("loop devices need root")


def writes(device):
    """Requests that wrote to it or discarded on it, as the kernel counts them, and a hash of its beginning and end."""
    os.sync()
    with open(f"/sys/block/{os.path.basename(device)}/stat") as file:
        counts = file.read().split()
    with open(device, "rb") as file:
        head = file.read(1 << 20)
        file.seek(-(1 << 20), os.SEEK_END)
        return counts[4], counts[11], hashlib.sha256(head + file.read()).hexdigest()


with folder() as top:
    backing = os.path.join(top, "disk")
    with open(backing, "wb") as file:
        file.truncate(320 << 20)
    done = subprocess.run(["losetup", "--find", "--show", backing], capture_output=True, text=True)
    if done.returncode != 0:
        skip("no loop devices here")
    device = done.stdout.strip()
    try:
        state = os.path.join(top, "state")

        def refused(says, *options):
            before = writes(device)
            fails("--state", state, "--pool", device, *options, says=says)
            equal(writes(device), before, f"{device} after a refusal")

        refused("give --create")
        refused("as large as it is", "--create", "--pool-size", "128M")
        for make, what in [
            (["mkfs.ext4", "-q", "-F"], "ext4"),
            (["mkswap"], "swap"),
            (["mkfs.xfs", "-q", "-f"], "XFS"),
            (["mkfs.btrfs", "-q", "-f"], "Btrfs"),
        ]:
            try:
                made = subprocess.run([*make, device], capture_output=True, text=True)
            except FileNotFoundError:
                continue
            if made.returncode == 0:
                refused(what, "--create")
                subprocess.run(["wipefs", "--all", device], check=True, capture_output=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
        mountpoint = os.path.join(top, "mnt")
        os.mkdir(mountpoint)
        if subprocess.run(["mount", device, mountpoint], capture_output=True).returncode == 0:
            try:
                fails("--state", state, "--pool", device, "--create", "--force", says="unmount it")
            finally:
                subprocess.run(["umount", mountpoint], check=True)
        with Daemon(state, "--pool", device, "--create", "--force") as daemon:
            equal(daemon.get("/v1/pool")["path"], device, "the pool's path")
            daemon.post("/v1/volumes", name="db", size="16M")
            check(daemon.ask("POST", "/v1/pool/grow", {"size": "512M"})[0] == 400, "a block device grew")
            daemon.stop()
        # A pool stays one, whatever is asked for.
        for options in ([], ["--create"], ["--create", "--force"]):
            with Daemon(state, "--pool", device, *options) as daemon:
                equal([volume["name"] for volume in daemon.get("/v1/volumes")], ["db"], f"volumes with {options}")
                daemon.stop()
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
