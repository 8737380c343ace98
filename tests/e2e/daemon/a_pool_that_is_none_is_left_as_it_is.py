"""Empty, foreign, truncated, damaged and newer files are refused, and nothing of them is changed."""

import os
import struct

from daemon import MIB, Untouched, equal, fails, folder, make_pool


def refused(path, says, state, *options):
    with Untouched(path):
        fails("--state", state, "--pool", path, *options, says=says)
        fails("--state", state, "--pool", path, "--create", *options, says=says)
    equal(os.listdir(state) if os.path.isdir(state) else [], [], "the state folder")


with folder() as top:
    state = os.path.join(top, "other")
    file = os.path.join(top, "file")

    open(file, "wb").close()
    refused(file, "the file is empty", state)

    with open(file, "wb") as out:
        out.write(b"x")
    refused(file, "something else than a Brindle pool", state)

    with open(file, "wb") as out:
        out.write(os.urandom(2 * MIB))
    refused(file, "something else than a Brindle pool", state)

    with open(file, "wb") as out:
        out.truncate(64 * MIB)
    refused(file, "something else than a Brindle pool", state)

    pool = make_pool(os.path.join(top, "pool"))
    with open(pool, "rb") as made:
        good = made.read()

    def variant(change):
        bytes_now = bytearray(good)
        change(bytes_now)
        with open(file, "wb") as out:
            out.write(bytes_now)

    def newer(bytes_now):
        for at in (0, 64 * 1024):
            bytes_now[at + 8 : at + 12] = struct.pack("<I", 999)

    variant(newer)
    refused(file, "format version 999", state)

    def torn(bytes_now):
        for at in (0, 64 * 1024):
            bytes_now[at + 100] ^= 0xFF

    variant(torn)
    refused(file, "checksum", state)

    for length in (4096, 64 * 1024, 128 * 1024, MIB, len(good) // 2, len(good) - 4096):

        def cut(bytes_now):
            del bytes_now[length:]

        variant(cut)
        refused(file, "cut short", state)

    # A folder is no pool, and the default pool's place is held to the same rules.
    fails("--state", state, "--pool", top, says="neither a file nor a block device")
    os.mkdir(os.path.join(top, "default"))
    default = os.path.join(top, "default", "pool")
    open(default, "wb").close()
    with Untouched(default):
        fails("--state", os.path.dirname(default), says="the file is empty")
