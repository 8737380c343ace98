#!/usr/bin/python3
"""nbdinfo, nbdcopy, qemu-img, qemu-io, qemu-nbd's relatives and fio against the server.

tools_test.py WIRE_SERVE
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

SERVE = sys.argv.pop(1)


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}"
    return done.stdout


def needs(tool):
    return unittest.skipUnless(shutil.which(tool), f"{tool} is not installed")


class Tools(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="brindle-wire-")
        self.socket = self.file("s")
        self.server = subprocess.Popen([SERVE, "--socket", self.socket, "--pool-size", "512M", "db=32M", "db@monday", "copy=32M"],
                                       stdout=subprocess.PIPE, text=True)
        assert self.server.stdout.readline().startswith("ready")

    def tearDown(self):
        self.server.terminate()
        self.assertEqual(self.server.wait(20), 0)
        self.server.stdout.close()
        self.folder.cleanup()

    def file(self, name):
        return os.path.join(self.folder.name, name)

    def uri(self, export):
        return f"nbd+unix:///{export}?socket={self.socket}"

    def image(self):
        """A sparse file: data, holes, and an odd end of data."""
        path = self.file("image")
        rng = random.Random(5)
        with open(path, "wb") as out:
            out.truncate(32 << 20)
            for at, size in ((0, 1 << 20), (5 << 20, 70000), ((31 << 20) + 5, 1 << 19)):
                out.seek(at)
                out.write(rng.randbytes(size))
        return path

    @needs("nbdcopy")
    def test_nbdcopy_in_and_out_and_between(self):
        image = self.image()
        run("nbdcopy", "--flush", image, self.uri("db"))
        run("nbdcopy", self.uri("db"), self.uri("copy"))
        run("nbdcopy", "--connections=4", self.uri("copy"), self.file("out"))
        run("cmp", image, self.file("out"))

    @needs("nbdinfo")
    def test_nbdinfo_tells_and_maps(self):
        told = json.loads(run("nbdinfo", "--json", self.uri("db@monday")))["exports"][0]
        self.assertEqual((told["export-size"], told["is_read_only"], told["can_df"]), (32 << 20, True, True))
        mapped = json.loads(run("nbdinfo", "--map", "--json", self.uri("db")))
        self.assertEqual([(e["offset"], e["length"], e["type"]) for e in mapped], [(0, 32 << 20, 3)])
        listed = json.loads(run("nbdinfo", "--list", "--json", f"nbd+unix:///?socket={self.socket}"))
        self.assertEqual([e["export-name"] for e in listed["exports"]], ["copy", "db", "db@monday"])

    @needs("qemu-img")
    def test_qemu_img_converts_both_ways_compares_and_maps(self):
        image = self.image()
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, self.uri("db"))
        self.assertIn("identical", run("qemu-img", "compare", "-f", "raw", "-F", "raw", image, self.uri("db")))
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.uri("db"), self.file("out.qcow2"))
        self.assertIn("identical", run("qemu-img", "compare", image, self.file("out.qcow2")))
        # Sparse on the way in: what is a hole in the file is one in the volume.
        mapped = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw", self.uri("db")))
        self.assertLess(sum(e["length"] for e in mapped if e["data"]), 2 << 20)

    @needs("qemu-io")
    def test_qemu_io_writes_zeroes_discards_and_verifies(self):
        def io(*commands):
            words = [word for command in commands for word in ("-c", command)]
            out = run("qemu-io", "-f", "raw", *words, self.uri("db"))
            self.assertNotIn("failed", out)
        io("write -P 0x5a 0 1M", "write -P 0xa5 4k 12k", "flush", "read -P 0x5a 0 4k", "read -P 0xa5 4k 12k", "read -P 0x5a 16k 1008k",
           "write -z 64k 64k", "read -P 0 64k 64k", "discard 128k 64k", "read -P 0 128k 64k", "write -f -P 1 513 4097", "read -P 1 513 4097",
           "aio_write -P 7 2M 1M", "aio_flush", "read -P 7 2M 1M")

    @needs("fio")
    def test_fio_verifies_what_it_wrote(self):
        run("fio", "--name=v", "--ioengine=nbd", f"--uri={self.uri('db')}", "--rw=randwrite", "--bsrange=512-128k", "--bs_unaligned=1",
            "--iodepth=32", "--size=16M", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--verify_state_save=0", "--fsync=64")
        run("fio", "--name=v", "--ioengine=nbd", f"--uri={self.uri('copy')}", "--rw=randrw", "--bs=4k", "--iodepth=64", "--size=16M",
            "--io_size=32M", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0")


if __name__ == "__main__":
    unittest.main()
